// Replays: how far they are, and what came of them.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { Replay } from '../../api/types';
import { count, REASONS } from '../../format';
import { Ago, Button, Empty, Panel, Trouble } from '../../parts/basics';
import { Chip, type Tone } from '../../parts/chip';
import { useAct, type Loaded } from '../../parts/load';

const SHOWN = 4;

const TONES: Record<Replay['state'], Tone> = { running: 'info', done: 'good', cancelled: 'quiet', failed: 'bad' };

export function Replays({ replays, changed }: { replays: Loaded<Replay[]>; changed: () => void }) {
  const [all, setAll] = useState(false);
  return (
    <Panel title="Replays">
      <Trouble words={replays.trouble} again={replays.again} />
      {replays.data?.length === 0 && <Empty title="No replay yet">Replay a group above; how far it is will be shown here, over restarts too.</Empty>}
      <ul class="replays">
        {replays.data?.slice(0, all ? undefined : SHOWN).map((replay) => <Line key={replay.id} replay={replay} changed={changed} />)}
      </ul>
      {!all && (replays.data?.length ?? 0) > SHOWN && <Button class="small" kind="quiet" press={() => setAll(true)}>Earlier replays</Button>}
    </Panel>
  );
}

/** The filter in a few words. */
export function filterWords({ filter }: Replay): string {
  const parts = [
    filter.stale_template && 'died by an older template',
    filter.unmatched && 'no route took them',
    filter.reason && REASONS[filter.reason],
    filter.source && `from ${filter.source}`,
    filter.type && `type ${filter.type}`,
    filter.route && `by ${filter.route}`,
    filter.target && `to ${filter.target}`,
    filter.event && 'of one event',
    filter.message_id && `message id ${filter.message_id}`,
  ].filter(Boolean);
  return parts.length > 0 ? parts.join(', ') : `all that are ${(filter.states ?? ['dead']).join(' or ')}`;
}

function Line({ replay, changed }: { replay: Replay; changed: () => void }) {
  const { busy, trouble, act } = useAct();
  const cancel = (): void => act(async () => {
    await api.cancelReplay(replay.id);
    changed();
  });
  const total = replay.total;
  const told = [
    `${count(replay.revived)} revived`,
    replay.created > 0 && `${count(replay.created)} new`,
    replay.skipped > 0 && `${count(replay.skipped)} skipped`,
    replay.failed > 0 && `${count(replay.failed)} failed`,
    replay.rate && `at most ${replay.rate}`,
  ].filter(Boolean).join(', ');
  return (
    <li>
      <div class="line">
        <Chip tone={TONES[replay.state]}>{replay.state}</Chip>
        <strong>{filterWords(replay)}</strong>
        <span class="dim">{replay.mode} · by {replay.created_by} · <Ago at={replay.created_at} /></span>
        {replay.state === 'running' && <Button class="small" kind="danger" busy={busy} press={cancel}>Cancel</Button>}
      </div>
      <div class="line">
        {total === null
          ? <progress aria-label="Progress" />
          : <progress aria-label="Progress" max={Math.max(1, total)} value={total === 0 ? 1 : replay.done} />}
        <span class="num">{count(replay.done)}{total !== null && ` / ${count(total)}`}</span>
        <span class="dim">{told}</span>
      </div>
      {replay.error && <p class="bad">{replay.error}</p>}
      <Trouble words={trouble} />
    </li>
  );
}
