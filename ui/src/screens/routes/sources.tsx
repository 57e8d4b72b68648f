// Each source: how it proves who sends, and what failed to verify lately.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { FailedVerification, Source } from '../../api/types';
import { count, duration, plural, rate, size } from '../../format';
import { Ago, Button, Empty, Facts, Loading, Panel, Table, Trouble } from '../../parts/basics';
import { Chip } from '../../parts/chip';
import { useLoad, type Loaded } from '../../parts/load';
import { Secrets } from './targets';

export function Sources({ sources }: { sources: Loaded<Source[]> }) {
  return (
    <section aria-label="Sources">
      <h2 class="over">Sources</h2>
      <Trouble words={sources.trouble} again={sources.again} />
      {!sources.data && !sources.trouble && <Loading what="the sources" />}
      {sources.data?.length === 0 && <Panel><Empty title="No source is configured">Name one under <code>sources</code> in the configuration and reload.</Empty></Panel>}
      <div class="grid">
        {sources.data?.map((source) => <SourceCard key={source.name} source={source} />)}
      </div>
    </section>
  );
}

function SourceCard({ source }: { source: Source }) {
  const [open, setOpen] = useState(false);
  const { last_minute: lately } = source;
  return (
    <section class={open ? 'panel card full' : 'panel card'} id={`source-${source.name}`} tabIndex={-1} aria-label={`Source ${source.name}`}>
      <header>
        <h3>{source.name}</h3>
        {source.failures > 0 && <Chip tone="warn">{`${count(source.failures)} unverified`}</Chip>}
      </header>
      <div class="inside">
        <p class="mono url">POST {source.path}</p>
        <Facts facts={[
          ['Last minute', `${rate(lately.received, lately.seconds)}${lately.unverified > 0 ? `, ${plural(lately.unverified, 'request')} unverified` : ''}`],
          ['Scheme', <>{source.scheme}, <Secrets secrets={source.secrets} /></>],
          ['Duplicates', source.dedupe ? `by ${source.dedupe.by} within ${duration(source.dedupe.for_seconds)}` : 'not looked for'],
          source.redact.length > 0 ? ['Hidden', source.redact.map((one) => <code key={one}>{one} </code>)] : null,
          ['To routes', source.routes.length > 0 ? source.routes.join(', ') : 'none'],
        ]} />
        {source.failures > 0 && (
          <Button class="small" press={() => setOpen(!open)} aria-expanded={open}>
            {open ? 'Hide failures' : 'What failed to verify'}
          </Button>
        )}
        {open && <Failures source={source} />}
      </div>
    </section>
  );
}

function Failures({ source }: { source: Source }) {
  const failures = useLoad(async (signal) => (await api.failures(source.name, signal)).items, [source.name, source.failures]);
  if (failures.trouble) return <Trouble words={failures.trouble} again={failures.again} />;
  if (!failures.data) return <Loading what="the failures" />;
  if (failures.data.length === 0) return <Empty title="None since the start" />;
  return (
    <Table label={`What failed to verify at ${source.name}`} class="cards" head={['When', 'Why', 'From', 'Request', 'Headers']}>
      {failures.data.map((failure, index) => <Failure key={`${failure.at}-${index}`} failure={failure} />)}
    </Table>
  );
}

function Failure({ failure }: { failure: FailedVerification }) {
  return (
    <tr>
      <td class="when" data-label="When"><Ago at={failure.at} /></td>
      <td data-label="Why"><Chip tone="warn">{failure.reason.replaceAll('_', ' ')}</Chip> <span class="dim">{failure.detail}</span></td>
      <td class="mono" data-label="From">{failure.client}</td>
      <td data-label="Request">
        {failure.method} {size(failure.size_bytes)}
        {failure.skew_seconds !== null && `, clock ${Math.abs(failure.skew_seconds)} s ${failure.skew_seconds > 0 ? 'ahead' : 'behind'}`}
      </td>
      <td class="mono dim wrap" data-label="Headers">{failure.headers.join(', ')}</td>
    </tr>
  );
}
