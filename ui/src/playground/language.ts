// Colours for a template: JSON outside, Liquid within. It only colours; what is right or wrong the engine says.
import { HighlightStyle, StreamLanguage, syntaxHighlighting, type StringStream } from '@codemirror/language';
import { tags } from '@lezer/highlight';

type State = {
  within: 'text' | 'output' | 'tag' | 'comment' | 'raw';
  /** Whether the text outside is in a JSON string; one may be left for an output and come back to. */
  inString: boolean;
  /** The name of a tag comes first in it. */
  named: boolean;
  /** A filter's name comes after a bar. */
  piped: boolean;
};

const WORDS = new Set(['in', 'and', 'or', 'not', 'contains', 'with', 'as', 'limit', 'offset', 'reversed']);

function token(stream: StringStream, state: State): string | null {
  if (state.within === 'comment' || state.within === 'raw') return skipped(stream, state);
  return state.within === 'text' ? outside(stream, state) : inside(stream, state);
}

function skipped(stream: StringStream, state: State): string | null {
  const name = state.within;
  if (stream.match(new RegExp(`^\\{%-?\\s*end${name}\\s*-?%\\}`))) {
    state.within = 'text';
    return 'processingInstruction';
  }
  stream.next();
  stream.eatWhile(/[^{]/);
  return name === 'comment' ? 'comment' : 'string';
}

function outside(stream: StringStream, state: State): string | null {
  const opening = /^\{%-?\s*(comment|raw)\s*-?%\}/.exec(stream.string.slice(stream.pos));
  if (opening) {
    stream.pos += opening[0].length;
    state.within = opening[1] === 'raw' ? 'raw' : 'comment';
    return 'processingInstruction';
  }
  if (stream.match(/^\{\{-?/)) return open(state, 'output');
  if (stream.match(/^\{%-?/)) return open(state, 'tag');
  if (stream.peek() === '"') {
    stream.next();
    state.inString = !state.inString;
    return 'string';
  }
  if (state.inString) {
    if (stream.match(/^\\./)) return 'escape';
    stream.next();
    stream.eatWhile(/[^"\\{]/);
    return 'string';
  }
  if (stream.match(/^-?\d+(\.\d+)?([eE][+-]?\d+)?/)) return 'number';
  if (stream.match(/^(true|false|null)\b/)) return 'atom';
  if (stream.match(/^[{}[\],:]/)) return 'punctuation';
  stream.next();
  return null;
}

function open(state: State, within: 'output' | 'tag'): string {
  state.within = within;
  state.named = within === 'output';
  state.piped = false;
  return 'processingInstruction';
}

function inside(stream: StringStream, state: State): string | null {
  if (stream.match(state.within === 'output' ? /^-?\}\}/ : /^-?%\}/)) {
    state.within = 'text';
    return 'processingInstruction';
  }
  if (stream.eatSpace()) return null;
  if (stream.match(/^"[^"]*"?/) || stream.match(/^'[^']*'?/)) return 'string';
  if (stream.match(/^-?\d+(\.\d+)?/)) return 'number';
  if (stream.match(/^\|/)) {
    state.piped = true;
    return 'operator';
  }
  if (stream.match(/^(==|!=|<>|<=|>=|<|>|=|:|,|\.\.)/)) return 'operator';
  const word = stream.match(/^[A-Za-z_][\w-]*\??/) as RegExpMatchArray | null;
  if (!word) {
    stream.next();
    return null;
  }
  if (!state.named) {
    state.named = true;
    return 'keyword';
  }
  if (state.piped) {
    state.piped = false;
    return 'function';
  }
  if (WORDS.has(word[0])) return 'keyword';
  return /^(true|false|nil|null|empty|blank)$/.test(word[0]) ? 'atom' : 'variableName';
}

const template = StreamLanguage.define<State>({
  name: 'template',
  startState: () => ({ within: 'text', inString: false, named: false, piped: false }),
  copyState: (state) => ({ ...state }),
  token,
  tokenTable: {
    processingInstruction: tags.processingInstruction,
    function: tags.function(tags.variableName),
    escape: tags.escape,
  },
});

const colours = HighlightStyle.define([
  { tag: tags.processingInstruction, color: 'var(--j-liquid)', fontWeight: '600' },
  { tag: tags.keyword, color: 'var(--j-liquid)' },
  { tag: tags.function(tags.variableName), color: 'var(--j-filter)' },
  { tag: tags.variableName, color: 'var(--j-key)' },
  { tag: tags.string, color: 'var(--j-string)' },
  { tag: tags.escape, color: 'var(--j-number)' },
  { tag: tags.number, color: 'var(--j-number)' },
  { tag: tags.atom, color: 'var(--j-word)' },
  { tag: tags.comment, color: 'var(--dim)', fontStyle: 'italic' },
  { tag: tags.punctuation, color: 'var(--j-mark)' },
]);

export const language = [template, syntaxHighlighting(colours)];
