// What to write next in a template: paths of the sample, filters, tags. What there is comes from the API.
import type { Completion as Option, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import type { Completion } from '../api/types';

/** So far back an opening is looked for; an output or a tag is rarely longer. */
const LOOK_BACK = 4000;
const PATH = /[A-Za-z_][\w.-]*(?:\[(?:"[^"]*"?|'[^']*'?|\d*)\]?[\w.-]*)*$/;

export type Place = { kind: 'tag' | 'filter' | 'path'; word: string } | null;

/** What is written at the end of `before`, the text up to the cursor. */
export function placeOf(before: string): Place {
  const output = before.lastIndexOf('{{');
  const tag = before.lastIndexOf('{%');
  const at = Math.max(output, tag);
  if (at < 0) return null;
  const written = before.slice(at + 2).replace(/^-/, '');
  if (written.includes(at === output ? '}}' : '%}')) return null;
  if (insideQuotes(written)) return null;
  if (at === tag && /^\s*\w*$/.test(written)) return { kind: 'tag', word: /\w*$/.exec(written)?.[0] ?? '' };
  const filter = /\|\s*(\w*)$/.exec(written);
  if (filter) return { kind: 'filter', word: filter[1] ?? '' };
  return { kind: 'path', word: PATH.exec(written)?.[0] ?? '' };
}

function insideQuotes(text: string): boolean {
  let quote = '';
  for (const char of text) {
    if (quote) quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
  }
  // `a["b` is a path that is being written, not a text.
  return quote !== '' && !/\[["'][^"']*$/.test(text);
}

/** Names that loops give to the items of an array, as paths of their own. */
export function loopPaths(before: string, known: Completion): Option[] {
  const found: Option[] = [];
  for (const [, name = '', array = ''] of before.matchAll(/\{%-?\s*for\s+(\w+)\s+in\s+([\w.[\]"'-]+)/g)) {
    const first = `${array}[0]`;
    for (const one of known.paths) {
      if (one.path !== first && !one.path.startsWith(`${first}.`) && !one.path.startsWith(`${first}[`)) continue;
      found.push(optionOf({ ...one, path: name + one.path.slice(first.length) }));
    }
  }
  return found;
}

function optionOf(one: Completion['paths'][number]): Option {
  return { label: one.path, type: one.kind === 'object' || one.kind === 'array' ? 'namespace' : 'property', detail: one.example ?? one.kind };
}

export function source(known: () => Completion | null) {
  return (context: CompletionContext): CompletionResult | null => {
    const all = known();
    if (!all) return null;
    const before = context.state.sliceDoc(Math.max(0, context.pos - LOOK_BACK), context.pos);
    const place = placeOf(before);
    if (!place || (place.word === '' && !context.explicit && !/[{|%]\s*$/.test(before))) return null;
    const from = context.pos - place.word.length;
    switch (place.kind) {
      case 'tag': return { from, options: all.tags.map((label): Option => ({ label, type: 'keyword' })), validFor: /^\w*$/ };
      case 'filter': return { from, options: all.filters.map((label): Option => ({ label, type: 'function' })), validFor: /^\w*$/ };
      case 'path': return { from, options: [...loopPaths(before, all), ...all.paths.map(optionOf)], validFor: new RegExp(`^(?:${PATH.source.slice(0, -1)})?$`) };
    }
  };
}
