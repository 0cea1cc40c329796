/** A line of a step's output that speaks to the runner ("Workflow commands"): `::name key=value,…::data`. */
export interface WorkflowCommand {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly data: string;
}

/** The command of a line, or undefined for ordinary output. */
export function parseWorkflowCommand(line: string): WorkflowCommand | undefined {
  const match = /^\s*::([a-zA-Z-]+)(?: +([^:]*(?::(?!:)[^:]*)*))?::(.*)$/s.exec(line);
  if (match === null) return undefined;
  const [, name = '', properties = '', data = ''] = match;
  const pairs = properties.split(',').flatMap((pair) => {
    const equals = pair.indexOf('=');
    return equals < 0 ? [] : [[pair.slice(0, equals).trim(), unescapeProperty(pair.slice(equals + 1))] as const];
  });
  return { name: name.toLowerCase(), properties: Object.fromEntries(pairs), data: unescapeData(data) };
}

function unescapeData(text: string): string {
  return text.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');
}

function unescapeProperty(text: string): string {
  return unescapeData(text.replaceAll('%3A', ':').replaceAll('%2C', ','));
}

/**
 * Turns the lines of one step's output into lines of the log: annotations become `Error: …`, groups a heading, secrets are announced
 * to `onMask`. Between `::stop-commands::token` and `::token::` lines are left as they are.
 */
export class CommandFilter {
  readonly #onMask: (value: string) => void;
  #stopToken: string | undefined;

  constructor(onMask: (value: string) => void) {
    this.#onMask = onMask;
  }

  /** The line to log, or undefined when there is nothing to show. */
  apply(line: string): string | undefined {
    if (this.#stopToken !== undefined) {
      if (line.trim() !== `::${this.#stopToken}::`) return line;
      this.#stopToken = undefined;
      return undefined;
    }
    const command = parseWorkflowCommand(line);
    if (command === undefined) return line;
    switch (command.name) {
      case 'error':
      case 'warning':
      case 'notice':
        return annotation(command);
      case 'group':
        return `▸ ${command.data}`;
      case 'add-mask':
        this.#onMask(command.data);
        return undefined;
      case 'stop-commands':
        this.#stopToken = command.data;
        return undefined;
      case 'endgroup':
      case 'debug':
      case 'echo':
        return undefined;
      case 'set-output':
      case 'save-state':
      case 'set-env':
      case 'add-path':
        return `Warning: the command ::${command.name}:: is no longer honoured; write to the file that $GITHUB_OUTPUT, $GITHUB_ENV or $GITHUB_PATH names`;
      default:
        return line;
    }
  }
}

function annotation({ name, properties, data }: WorkflowCommand): string {
  const label = { error: 'Error', warning: 'Warning', notice: 'Notice' }[name] ?? name;
  const place = [properties.file, properties.line, properties.col].filter((part) => part !== undefined).join(':');
  const title = properties.title === undefined ? '' : `${properties.title}: `;
  return `${label}: ${place === '' ? '' : `${place}: `}${title}${data}`;
}
