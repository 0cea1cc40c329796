/** Replaces `$(NAME)` by its value; `$$(NAME)` stays as `$(NAME)`, and so does a name nobody defined (Kubernetes, "Define Dependent Environment Variables"). */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^()]+)\)/g, (found, name: string | undefined) => (name === undefined ? '$' : (values.get(name) ?? found)));
}
