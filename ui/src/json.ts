// JSON text laid out for reading, without going through JavaScript's numbers: what stood there stays as it was written.

export type Kind = 'key' | 'string' | 'number' | 'word' | 'mark';
export type Piece = { kind: Kind; text: string };

/** More than this is shown as it came: laying it out would hold up the page. */
export const PRETTY_BYTES = 2 * 1024 * 1024;

const TOKEN = /\s+|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:]/gy;

/** The lines of a JSON text, each in pieces; `null` if it is not JSON (or too long to lay out). */
export function lines(text: string): Piece[][] | null {
  if (text.length > PRETTY_BYTES) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const out: Piece[][] = [];
  let line: Piece[] = [];
  let depth = 0;
  const indent = (): void => {
    if (depth > 0) line.push({ kind: 'mark', text: '  '.repeat(depth) });
  };
  const newline = (): void => {
    out.push(line);
    line = [];
    indent();
  };
  const tokens = text.match(TOKEN)?.filter((token) => token.trim() !== '') ?? [];
  for (const [index, token] of tokens.entries()) {
    const before = tokens[index - 1];
    const after = tokens[index + 1];
    if (token === '{' || token === '[') {
      line.push({ kind: 'mark', text: token });
      depth += 1;
      if (after !== '}' && after !== ']') newline();
    } else if (token === '}' || token === ']') {
      depth -= 1;
      if (before !== '{' && before !== '[') newline();
      line.push({ kind: 'mark', text: token });
    } else if (token === ',') {
      line.push({ kind: 'mark', text: token });
      newline();
    } else if (token === ':') {
      line.push({ kind: 'mark', text: ': ' });
    } else {
      line.push({ kind: kindOf(token, after), text: token });
    }
  }
  out.push(line);
  return out;
}

function kindOf(token: string, after: string | undefined): Kind {
  if (token.startsWith('"')) return after === ':' ? 'key' : 'string';
  return /^[-\d]/.test(token) ? 'number' : 'word';
}

/** Laid out as text; what is not JSON comes back as it is. */
export function pretty(text: string): string {
  const laid = lines(text);
  return laid ? laid.map((line) => line.map((piece) => piece.text).join('')).join('\n') : text;
}
