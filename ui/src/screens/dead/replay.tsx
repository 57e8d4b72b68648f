// Many again: what it would be is shown before anything is done.
import { useEffect, useState } from 'preact/hooks';
import { api, words } from '../../api/client';
import type { ReplayMode, ReplayPreview, ReplayRequest } from '../../api/types';
import { count, plural } from '../../format';
import { Ago, Button, Field, Loading, Trouble } from '../../parts/basics';
import { Dialog } from '../../parts/dialog';
import { useAct } from '../../parts/load';
import { toast } from '../../parts/toast';
import { href } from '../../router';
import { ModeChoice } from '../event/retry';

const RATE = /^ *0*[1-9][0-9]* *\/ *[smh] *$/;

export function ReplayDialog(props: { request: ReplayRequest; what: string; close: () => void; started: () => void }) {
  const [mode, setMode] = useState<ReplayMode>(props.request.mode ?? 'frozen');
  const [rate, setRate] = useState('');
  const wrong = rate.trim() !== '' && !RATE.test(rate);
  const { preview, trouble: unknown } = usePreview({ ...props.request, mode });
  const { busy, trouble, act } = useAct();
  const begin = (): void => act(async () => {
    // Only what was shown: those that die while the dialog is open were not looked at. `until` came with the preview.
    const filter = preview?.filter ?? props.request.filter;
    await api.startReplay({ filter, mode, rate: rate.trim() || null });
    toast('The replay has begun.');
    props.started();
    props.close();
  });
  const nothing = preview?.count === 0;
  return (
    <Dialog title={`Replay ${props.what}`} close={props.close}>
      <ModeChoice mode={mode} change={setMode} modes={['frozen', 'rerender']} />
      <Field label="At most" hint={wrong ? 'A count, a slash, and s, m or h: 20/s.' : 'The targets’ own limits hold in any case.'}>
        <input type="text" placeholder="as fast as they go" value={rate} aria-invalid={wrong} onInput={(event) => setRate(event.currentTarget.value)} />
      </Field>
      <h3>Preview</h3>
      {!preview && !unknown && <Loading what="the preview" />}
      {preview && <Preview preview={preview} />}
      <Trouble words={unknown ?? trouble} />
      <div class="buttons">
        <Button press={props.close}>Cancel</Button>
        <Button
          kind="main"
          busy={busy}
          unless={(!preview && 'The preview is not there yet.') || (nothing && 'There is nothing to replay.') || (wrong && 'The rate is not right yet.')}
          press={begin}
        >
          {preview ? `Replay ${preview.complete ? '' : 'more than '}${count(preview.count)}` : 'Replay'}
        </Button>
      </div>
    </Dialog>
  );
}

function usePreview(request: ReplayRequest): { preview: ReplayPreview | null; trouble: string | null } {
  const [preview, setPreview] = useState<ReplayPreview | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  useEffect(() => {
    let late = false;
    setTrouble(null);
    api.previewReplay(request)
      .then((found) => {
        if (!late) setPreview(found);
      })
      .catch((error: unknown) => {
        if (!late) setTrouble(words(error));
      });
    return () => {
      late = true;
    };
  }, [JSON.stringify(request)]);
  return { preview, trouble };
}

function Preview({ preview }: { preview: ReplayPreview }) {
  return (
    <div class="preview">
      <p>
        <strong>{`${preview.complete ? '' : 'More than '}${plural(preview.count, 'delivery', 'deliveries')}`}</strong>
        {preview.by_target.length > 0 && <>: {preview.by_target.map((one) => `${count(one.count)} to ${one.target}`).join(', ')}</>}
      </p>
      {preview.deliveries.length > 0 && (
        <ul class="letters">
          {preview.deliveries.slice(0, 5).map((delivery) => (
            <li key={delivery.id}>
              <a href={href('events', delivery.event)}>{delivery.type}</a>
              <span class="dim">to {delivery.target}, died <Ago at={delivery.ended_at} /></span>
            </li>
          ))}
          {preview.count > 5 && <li class="dim">and {count(preview.count - Math.min(5, preview.deliveries.length))} more</li>}
        </ul>
      )}
    </div>
  );
}
