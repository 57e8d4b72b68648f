// Sending one event again: to whom, and with which body.
import { useState } from 'preact/hooks';
import { api } from '../../api/client';
import type { Event, ReplayMode } from '../../api/types';
import { plural } from '../../format';
import { Button, Select, Trouble } from '../../parts/basics';
import { Dialog } from '../../parts/dialog';
import { useAct } from '../../parts/load';
import { toast } from '../../parts/toast';

export const MODES: Array<{ id: ReplayMode; label: string; says: string }> = [
  { id: 'frozen', label: 'The same bytes', says: 'As they were sent, as far as they are kept.' },
  { id: 'rerender', label: 'Rendered anew', says: 'With the template in force now.' },
  { id: 'reroute', label: 'Routed anew', says: 'Through the routes in force now; new deliveries are made.' },
];

export function ModeChoice(props: { modes?: ReplayMode[]; mode: ReplayMode; change: (mode: ReplayMode) => void }) {
  const modes = MODES.filter((mode) => props.modes?.includes(mode.id) ?? true);
  return (
    <fieldset class="choice">
      <legend class="label">Body</legend>
      {modes.map((mode) => (
        <label key={mode.id}>
          <input type="radio" name="mode" value={mode.id} checked={mode.id === props.mode} onChange={() => props.change(mode.id)} />
          <span><strong>{mode.label}</strong> <span class="dim">{mode.says}</span></span>
        </label>
      ))}
    </fieldset>
  );
}

export function RetryDialog({ event, close, done }: { event: Event; close: () => void; done: () => void }) {
  const unmatched = event.deliveries.length === 0;
  const died = event.deliveries.some((one) => one.reason === 'render');
  const [mode, setMode] = useState<ReplayMode>(unmatched ? 'reroute' : died ? 'rerender' : 'frozen');
  const [target, setTarget] = useState('');
  const { busy, trouble, act } = useAct();
  const targets = [...new Set(event.deliveries.map((one) => one.target))];
  const send = (): void => act(async () => {
    const answer = await api.retryEvent(event.id, { mode, target: target || null });
    toast(answer.deliveries.length > 0
      ? `${plural(answer.deliveries.length, 'delivery is', 'deliveries are')} pending.`
      : 'No route takes this event now.', answer.deliveries.length === 0);
    done();
    close();
  });
  return (
    <Dialog title="Retry this event" close={close}>
      {targets.length > 0 && (
        <Select
          label="To"
          value={target}
          options={[['', targets.length > 1 ? 'all its targets' : `its target, ${targets[0]}`], ...(targets.length > 1 ? targets.map((one): [string, string] => [one, one]) : [])]}
          change={setTarget}
        />
      )}
      <ModeChoice mode={mode} change={setMode} {...(unmatched ? { modes: ['reroute'] as ReplayMode[] } : {})} />
      <p class="note">It begins anew with a fresh retry budget. A target that has answered 2xx before may get it twice.</p>
      <Trouble words={trouble} />
      <div class="buttons">
        <Button press={close}>Cancel</Button>
        <Button kind="main" busy={busy} press={send}>Retry</Button>
      </div>
    </Dialog>
  );
}
