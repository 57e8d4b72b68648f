// What came of a render: the JSON, what is proven of every payload, what was mended, what would change.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { DiffLine, Finding, Marker, RenderResult } from '../api/types';
import { plural } from '../format';
import { Button, Empty, Loading, Panel, Trouble } from '../parts/basics';
import { Chip, VerdictChip, VERDICTS } from '../parts/chip';
import { CopyButton, Json } from '../parts/code';
import { Tabs } from '../parts/tabs';

type Shown = 'output' | 'proof' | 'diff';

type Props = {
  result: RenderResult | null;
  trouble: string | null;
  /** Whether what is shown is of an older text. */
  stale: boolean;
  sampled: boolean;
  jump: (marker: Marker) => void;
  /** Makes a counter-example the sample. */
  tryOn: (body: string) => void;
};

export function ResultPane(props: Props) {
  const [shown, setShown] = useState<Shown>('output');
  const { result } = props;
  const changes = result?.diff?.filter((line) => line.kind === 'deployed' || line.kind === 'new').length ?? 0;
  const remarks = result?.proof ? result.proof.findings.length + result.proof.may_fail.length : 0;
  return (
    <Panel title="Result" class={props.stale ? 'pane stale' : 'pane'} aside={result && <Verdict result={result} />}>
      <Tabs
        label="Result"
        name="result"
        tabs={[
          { id: 'output', label: 'Output' },
          { id: 'proof', label: remarks > 0 ? `Proof (${remarks})` : 'Proof' },
          { id: 'diff', label: changes > 0 ? `Diff (${changes})` : 'Diff' },
        ]}
        shown={shown}
        show={setShown}
      >
        <Trouble words={props.trouble} />
        {!result && !props.trouble && (props.sampled
          ? <Loading what="the result" />
          : <Empty title="Nothing to try on">Choose an event or a file on the left, or paste a body.</Empty>)}
        {result && shown === 'output' && <Output result={result} jump={props.jump} />}
        {result && shown === 'proof' && <ProofTab {...props} result={result} />}
        {result && shown === 'diff' && <DiffTab result={result} />}
      </Tabs>
    </Panel>
  );
}

function Verdict({ result }: { result: RenderResult }) {
  return (
    <span class="chips" role="status">
      {result.error ? <Chip tone="bad">{result.proof ? 'does not render' : 'does not compile'}</Chip> : <Chip tone="good">renders</Chip>}
      {result.proof && <VerdictChip verdict={result.proof.verdict} />}
    </span>
  );
}

/** A place in the template: pressing it goes there. */
function MarkerLine({ marker, jump, tone, children }: { marker: Marker; jump: (marker: Marker) => void; tone: string; children?: ComponentChildren }) {
  return (
    <li class={`marker ${tone}`}>
      <button type="button" class="link mono" onClick={() => jump(marker)} title="Go there">
        {marker.file}:{marker.line}:{marker.column}
      </button>{' '}
      {marker.message}
      {marker.help && <p class="hint">{marker.help}</p>}
      {children}
    </li>
  );
}

function Output({ result, jump }: { result: RenderResult; jump: (marker: Marker) => void }) {
  return (
    <>
      {result.redacted && <p class="note">Values of the event are hidden by its source’s redact; they were rendered as such.</p>}
      {result.error && <ul class="markers"><MarkerLine marker={result.error} jump={jump} tone="bad" /></ul>}
      {result.schema && (
        <p class="told">
          {result.misfits.length === 0 ? <Chip tone="good">fits its schema</Chip> : <Chip tone="bad">{plural(result.misfits.length, 'misfit')}</Chip>}{' '}
          <code>{result.schema}</code>
        </p>
      )}
      {result.misfits.length > 0 && (
        <ul class="markers">
          {result.misfits.map((misfit, index) => (
            <li key={index} class="marker bad"><code>{misfit.at || 'the whole'}</code> {misfit.message}</li>
          ))}
        </ul>
      )}
      {result.output !== null && (
        <>
          <Json text={result.output} label="The JSON that comes out" />
          <CopyButton label="Copy" done="The output is on the clipboard." text={() => result.output ?? ''} quiet />
        </>
      )}
      <Repairs repairs={result.repairs} jump={jump} title="Mended in this output" />
    </>
  );
}

function Repairs({ repairs, jump, title }: { repairs: Marker[]; jump: (marker: Marker) => void; title: string }) {
  if (repairs.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul class="markers">{repairs.map((marker, index) => <MarkerLine key={index} marker={marker} jump={jump} tone="info" />)}</ul>
    </>
  );
}

function ProofTab({ result, jump, tryOn }: Props & { result: RenderResult }) {
  const { proof } = result;
  if (!proof) return <Empty title="There is nothing to prove">The template does not compile yet.</Empty>;
  const { findings, repairs, may_fail } = proof;
  return (
    <>
      <p class="told"><VerdictChip verdict={proof.verdict} /> {VERDICTS[proof.verdict].says}</p>
      {findings.length > 0 && <h3>Where it can fail to be JSON</h3>}
      <ul class="markers">{findings.map((finding, index) => <FindingLine key={index} finding={finding} jump={jump} tryOn={tryOn} />)}</ul>
      {may_fail.length > 0 && <h3>What else can fail on some payload</h3>}
      <ul class="markers">{may_fail.map((marker, index) => <MarkerLine key={index} marker={marker} jump={jump} tone="warn" />)}</ul>
      <Repairs repairs={repairs} jump={jump} title="What can need mending" />
    </>
  );
}

function FindingLine({ finding, jump, tryOn }: { finding: Finding; jump: (marker: Marker) => void; tryOn: (body: string) => void }) {
  const example = finding.counter_example;
  return (
    <MarkerLine marker={finding.marker} jump={jump} tone="bad">
      {finding.way && <p class="dim">{finding.way}</p>}
      {example !== null && (
        <>
          <p class="dim">This payload fails:</p>
          <Json text={example} label="A payload that fails" />
          <Button class="small" press={() => tryOn(example)}>Use as the sample</Button>
        </>
      )}
    </MarkerLine>
  );
}

const SIGNS: Record<DiffLine['kind'], string> = { place: '', same: '  ', deployed: '− ', new: '+ ', more: '' };
const CLASSES: Record<DiffLine['kind'], string> = { place: 'gap', same: 'same', deployed: 'old', new: 'new', more: 'gap' };

function DiffTab({ result }: { result: RenderResult }) {
  if (!result.deployed) return <Empty title="Nothing is deployed to compare with">No route names this template yet.</Empty>;
  if (result.diff === null) {
    const failed = result.deployed.error;
    return (
      <Empty title="There is nothing to compare">
        {failed ? `The template in force does not render this sample: ${failed.message}` : 'This text does not render the sample.'}
      </Empty>
    );
  }
  if (result.diff.length === 0) return <Empty title="No difference">On this sample both give the same JSON.</Empty>;
  return (
    <>
      <p class="dim told">From what the template in force gives to what this text gives.</p>
      <pre class="code diff" tabIndex={0} role="region" aria-label="Against the template in force">
        {result.diff.map((line, index) => (
          <span key={index} class={`line ${CLASSES[line.kind]}`}>{SIGNS[line.kind]}{line.text}{'\n'}</span>
        ))}
      </pre>
    </>
  );
}
