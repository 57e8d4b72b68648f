// The template's editor. The text is the document's; the page hears of changes and sets markers and new texts.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching, indentUnit } from '@codemirror/language';
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { EditorState, type Text } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { useEffect, useRef } from 'preact/hooks';
import type { Completion, Marker } from '../api/types';
import { source } from './complete';
import { language } from './language';

export type Mark = { marker: Marker; severity: 'error' | 'warning' | 'info' };

type Props = {
  /** The editor begins anew when this changes. */
  name: string;
  text: string;
  /** The text is taken over when this changes; what is typed comes back by `change` alone. */
  version: number;
  marks: Mark[];
  known: Completion | null;
  change: (text: string) => void;
  save: () => void;
  /** Filled with how to move the cursor to a marker. */
  jump: { current: ((marker: Marker) => void) | null };
};

/** Where a marker is in the document. It counts code points, the document UTF-16 units. */
export function range(doc: Text, marker: Marker): { from: number; to: number } {
  const line = doc.line(Math.min(Math.max(1, marker.line), doc.lines));
  const from = Math.min(line.from + units(line.text, marker.column - 1), line.to);
  const rest = doc.sliceString(from, Math.min(doc.length, from + 2 * marker.length + 2));
  return { from, to: Math.min(doc.length, from + units(rest, marker.length)) };
}

function units(text: string, points: number): number {
  let at = 0;
  for (let left = points; left > 0 && at < text.length; left -= 1) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  return at;
}

function diagnostics(doc: Text, marks: Mark[]): Diagnostic[] {
  return marks
    .map(({ marker, severity }) => ({
      ...range(doc, marker),
      severity,
      message: marker.help ? `${marker.message}\n${marker.help}` : marker.message,
    }))
    .sort((a, b) => a.from - b.from);
}

export function Editor(props: Props) {
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    if (!place.current) return undefined;
    const editor = new EditorView({ parent: place.current, state: stateOf(latest) });
    view.current = editor;
    props.jump.current = (marker) => {
      const { from, to } = range(editor.state.doc, marker);
      editor.dispatch({ selection: { anchor: from, head: to }, scrollIntoView: true });
      editor.focus();
    };
    return () => {
      editor.destroy();
      view.current = null;
    };
  }, [props.name]);

  useEffect(() => {
    const editor = view.current;
    const { text } = latest.current;
    if (!editor || editor.state.sliceDoc() === text) return;
    editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text } });
  }, [props.version]);

  useEffect(() => {
    const editor = view.current;
    if (editor) editor.dispatch(setDiagnostics(editor.state, diagnostics(editor.state.doc, props.marks)));
  }, [props.marks, props.name]);

  return <div class="editor" ref={place} />;
}

function stateOf(latest: { current: Props }): EditorState {
  const { text } = latest.current;
  return EditorState.create({
    doc: text,
    extensions: [
      // A file with the other kind of line ends keeps them when it is saved.
      ...(text.includes('\r\n') ? [EditorState.lineSeparator.of('\r\n')] : []),
      lineNumbers(),
      history(),
      drawSelection(),
      highlightActiveLine(),
      bracketMatching(),
      closeBrackets(),
      indentUnit.of('  '),
      lintGutter(),
      autocompletion({ icons: false, override: [source(() => latest.current.known)], maxRenderedOptions: 200 }),
      language,
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ 'aria-label': 'Template', spellcheck: 'false', autocapitalize: 'off' }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) latest.current.change(update.state.sliceDoc());
      }),
      // Tab is left to the browser, so that the keyboard finds its way out; it only takes an offer that is open.
      keymap.of([
        { key: 'Mod-s', preventDefault: true, run: () => (latest.current.save(), true) },
        { key: 'Tab', run: acceptCompletion },
        ...closeBracketsKeymap,
        ...completionKeymap,
        ...lintKeymap,
        ...historyKeymap,
        ...defaultKeymap,
      ]),
    ],
  });
}
