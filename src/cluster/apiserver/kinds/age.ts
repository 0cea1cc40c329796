/** Time since a moment as kubectl writes ages: `45s`, `5m30s`, `3h12m`, `2d4h`, `40d`, `3y20d`. `<unknown>` without one. */
export function ageSince(time: string | undefined, nowMs: number): string {
  if (time === undefined || time === '') return '<unknown>';
  const seconds = Math.floor((nowMs - Date.parse(time)) / 1000);
  if (seconds < -1) return '<invalid>';
  return durationText(Math.max(0, seconds));
}

/** A duration in seconds, in at most two units. */
export function durationText(seconds: number): string {
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  const pair = (large: number, largeUnit: string, small: number, smallUnit: string): string => `${large}${largeUnit}${small === 0 ? '' : `${small}${smallUnit}`}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (hours < 192) return pair(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? pair(years, 'y', days % 365, 'd') : `${years}y`;
}
