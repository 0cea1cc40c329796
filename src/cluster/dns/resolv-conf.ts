export interface ResolvConf {
  servers: string[];
  searches: string[];
  options: string[];
}

/** Parses resolv.conf(5). Lines that are not understood are skipped, as the C library does. */
export function parseResolvConf(text: string): ResolvConf {
  const conf: ResolvConf = { servers: [], searches: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.replace(/[#;].*/, '').trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) conf.servers.push(values[0]);
    if (keyword === 'search' || keyword === 'domain') conf.searches = values;
    if (keyword === 'options') conf.options.push(...values);
  }
  return conf;
}
