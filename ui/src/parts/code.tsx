// Text that came from elsewhere: always a text node, never markup.
import { useMemo, useState } from 'preact/hooks';
import { diff, hunks, type Line } from '../diff';
import { lines, pretty } from '../json';
import { Dialog } from './dialog';
import { Button } from './basics';
import { toast } from './toast';

/** More lines than this are shown on demand only. */
const MOST_LINES = 1500;

export function Json({ text, label, numbers = true }: { text: string; label: string; numbers?: boolean }) {
  const laid = useMemo(() => lines(text), [text]);
  const [all, setAll] = useState(false);
  if (!laid) return <pre class="code" tabIndex={0} role="region" aria-label={label}>{text}</pre>;
  const shown = all ? laid : laid.slice(0, MOST_LINES);
  return (
    <>
      <pre class={numbers ? 'code numbered' : 'code'} tabIndex={0} role="region" aria-label={label}>
        {shown.map((line, index) => (
          <span key={index} class="line">
            {line.map((piece, at) => <span key={at} class={`j-${piece.kind}`}>{piece.text}</span>)}
            {'\n'}
          </span>
        ))}
      </pre>
      {shown.length < laid.length && (
        <Button kind="quiet" press={() => setAll(true)}>{`Show all ${laid.length} lines`}</Button>
      )}
    </>
  );
}

const SIGNS: Record<Line['kind'], string> = { same: ' ', old: '−', new: '+' };

/** What differs between two JSON texts (or any others). */
export function Diff({ before, after, label }: { before: string; after: string; label: string }) {
  const parts = useMemo(() => hunks(diff(pretty(before), pretty(after))), [before, after]);
  if (parts.every((line) => line === null)) return <p class="note">There is no difference.</p>;
  return (
    <pre class="code diff" tabIndex={0} role="region" aria-label={label}>
      {parts.map((line, index) =>
        line === null
          ? <span key={index} class="line gap">⋯{'\n'}</span>
          : <span key={index} class={`line ${line.kind}`}>{SIGNS[line.kind]} {line.text}{'\n'}</span>)}
    </pre>
  );
}

/** Puts a text on the clipboard; where the browser does not let us, shows it to be taken from there. */
export function CopyButton(props: { label: string; done: string; text: () => Promise<string> | string; quiet?: boolean }) {
  const [byHand, setByHand] = useState<string | null>(null);
  const copy = async (): Promise<void> => {
    const text = await props.text();
    try {
      await navigator.clipboard.writeText(text);
      toast(props.done);
    } catch {
      setByHand(text);
    }
  };
  return (
    <>
      <Button icon="copy" kind={props.quiet ? 'quiet' : 'plain'} press={() => void copy().catch((error: unknown) => toast(String(error), true))}>
        {props.label}
      </Button>
      {byHand !== null && (
        <Dialog title={props.label} close={() => setByHand(null)} wide>
          <p class="note">The browser keeps its clipboard from this page. The text is selected: copy it from here.</p>
          <textarea
            class="mono"
            rows={10}
            readOnly
            aria-label={props.label}
            value={byHand}
            ref={(area) => area?.select()}
          />
        </Dialog>
      )}
    </>
  );
}
