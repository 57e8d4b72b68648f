// Putting a text in force: compared with what was read, refused as a whole if it does not hold, and then what it may revive.
import { useState } from 'preact/hooks';
import { api, ApiError } from '../api/client';
import type { ReloadReport, ReplayPreview } from '../api/types';
import { count, plural } from '../format';
import { Button, Trouble } from '../parts/basics';
import { toast } from '../parts/toast';
import { useAct } from '../parts/load';
import { href } from '../router';
import { STALE } from '../screens/dead';
import { isChanged, type Draft } from './draft';

export type Saving = {
  busy: boolean;
  trouble: string | null;
  /** The file has another text by now. */
  changed: boolean;
  refused: ReloadReport | null;
  revivable: ReplayPreview | null;
  save: () => void;
  revived: () => void;
  clear: () => void;
};

export function useSaving(draft: Draft | null, able: boolean, saved: (text: string, etag: string) => void): Saving {
  const { busy, trouble, act, clear } = useAct();
  const [changed, setChanged] = useState(false);
  const [refused, setRefused] = useState<ReloadReport | null>(null);
  const [revivable, setRevivable] = useState<ReplayPreview | null>(null);
  const save = (): void => {
    if (!draft || !able || busy || !(isChanged(draft) || draft.etag === null)) return;
    act(async () => {
      setRefused(null);
      setChanged(false);
      try {
        const answer = await api.saveTemplate(draft.name, draft.text, draft.etag);
        saved(draft.text, answer.etag);
        toast(`${draft.name} is saved and in force.`);
        const preview = await api.previewReplay(STALE);
        setRevivable(preview.count > 0 ? preview : null);
      } catch (error) {
        if (error instanceof ApiError && error.status === 412) setChanged(true);
        else if (error instanceof ApiError && error.code === 'refused') setRefused(error.body as ReloadReport);
        else throw error;
      }
    });
  };
  return {
    busy,
    trouble,
    changed,
    refused,
    revivable,
    save,
    revived: () => setRevivable(null),
    clear: () => {
      clear();
      setChanged(false);
      setRefused(null);
    },
  };
}

export function SavingNotice({ saving, read }: { saving: Saving; read: (keep: boolean) => Promise<void> }) {
  const { act, busy, trouble } = useAct();
  const again = (keep: boolean): void => act(async () => {
    await read(keep);
    saving.clear();
  });
  return (
    <>
      <Trouble words={saving.trouble ?? trouble} />
      {saving.changed && (
        <div class="notice bad" role="alert">
          <span>The file was changed by somebody else since it was read here. Nothing was saved.</span>
          <span class="buttons">
            <Button class="small" busy={busy} press={() => again(false)}>Take the file’s text</Button>
            <Button class="small" busy={busy} press={() => again(true)}>Keep mine; the next save replaces it</Button>
          </span>
        </div>
      )}
      {saving.refused && <Refused report={saving.refused} close={saving.clear} />}
      {saving.revivable && <Revive preview={saving.revivable} done={saving.revived} />}
    </>
  );
}

function Refused({ report, close }: { report: ReloadReport; close: () => void }) {
  return (
    <div class="notice bad column" role="alert">
      <div class="line">
        <strong>Refused: nothing was saved, and what was in force stays.</strong>
        <Button class="small" kind="quiet" icon="close" press={close}>Close</Button>
      </div>
      {report.errors.map((error, index) => (
        <p key={index}><span class="mono">{error.file}{error.line > 0 && `:${error.line}:${error.column}`}</span> {error.path} {error.message}{error.help && ` (${error.help})`}</p>
      ))}
      {report.failed_tests.map((test, index) => <pre key={index} class="code small">{test}</pre>)}
      {report.errors.length === 0 && report.failed_tests.length === 0 && <pre class="code small">{report.text}</pre>}
    </div>
  );
}

function Revive({ preview, done }: { preview: ReplayPreview; done: () => void }) {
  const { busy, trouble, act } = useAct();
  const revive = (): void => act(async () => {
    await api.startReplay({ mode: 'rerender', filter: preview.filter });
    toast(`${plural(preview.count, 'delivery is', 'deliveries are')} on the way.`);
    done();
  });
  return (
    <div class="notice info">
      <span>
        <strong>{`${preview.complete ? '' : 'More than '}${plural(preview.count, 'delivery', 'deliveries')}`}</strong> died rendering with an
        older version. <a href={href('dead')}>Look at them</a>
      </span>
      <Button kind="main" busy={busy} press={revive}>{`Revive ${count(preview.count)}`}</Button>
      <Trouble words={trouble} />
    </div>
  );
}
