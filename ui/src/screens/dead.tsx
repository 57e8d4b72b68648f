// What was parked, by target and reason, and how to send it again: one, a group, or all that an old template has killed.
import { useState } from 'preact/hooks';
import { api } from '../api/client';
import type { DeadGroup, Delivery, ReplayPreview, ReplayRequest } from '../api/types';
import { count, plural, REASONS } from '../format';
import { Ago, Button, Empty, Loading, Panel, Table, Trouble } from '../parts/basics';
import { Chip, ResultChip } from '../parts/chip';
import { useAct, useLoad } from '../parts/load';
import { toast } from '../parts/toast';
import { href, replace } from '../router';
import { ReplayDialog } from './dead/replay';
import { Replays } from './dead/replays';

const EVERY_MS = 5000;
const PAGE = 25;
const LATELY_MS = 3600_000;

export const STALE: ReplayRequest = { mode: 'rerender', filter: { stale_template: true } };

export function Dead({ params }: { params: URLSearchParams }) {
  const groups = useLoad(async (signal) => (await api.dead(signal)).items, [], EVERY_MS);
  const stale = useLoad(() => api.previewReplay(STALE), [], 4 * EVERY_MS);
  const replays = useLoad(async (signal) => (await api.replays({ limit: 20 }, signal)).items, [], 1500);
  const [asked, setAsked] = useState<{ request: ReplayRequest; what: string } | null>(null);
  const open = { target: params.get('target') ?? '', reason: params.get('reason') ?? '' };
  const shown = (groups.data ?? []).filter((group) => !open.target || group.target === open.target);
  // One that was begun lately is what one wants to see; its place does not change as it ends.
  const lately = replays.data?.some((one) => Date.parse(one.created_at) > Date.now() - LATELY_MS) ?? false;
  const list = <Replays replays={replays} changed={() => again()} />;
  const again = (): void => {
    groups.again();
    stale.again();
    replays.again();
  };
  return (
    <>
      <header class="head">
        <h1>Dead letters</h1>
        {open.target && (
          <div class="actions">
            <Button kind="quiet" icon="close" press={() => replace(href('dead'))}>{`Only of ${open.target}`}</Button>
          </div>
        )}
      </header>
      <StaleNotice preview={stale.data} ask={() => setAsked({ request: STALE, what: 'what died rendering with an older template' })} />
      {lately && list}
      <Trouble words={groups.trouble} again={groups.again} />
      {!groups.data && !groups.trouble && <Loading what="dead letters" />}
      {groups.data && shown.length === 0 && (
        <Panel><Empty title="Nothing is parked">A delivery that will not be tried again by itself comes here, with the reason and all that is needed to send it again.</Empty></Panel>
      )}
      {byTarget(shown).map(([target, those]) => (
        <Panel key={target} flush title={target} aside={<span class="dim">{plural(those.reduce((sum, one) => sum + one.count, 0), 'dead letter')}</span>}>
          <Groups
            groups={those}
            open={open.target === target ? open.reason : ''}
            toggle={(reason) => replace(href('dead', '', reason === open.reason && open.target === target ? {} : { target, reason }))}
            ask={(group) => setAsked({
              request: { mode: group.reason === 'render' ? 'rerender' : 'frozen', filter: { target: group.target, reason: group.reason } },
              what: `${group.target}: ${REASONS[group.reason]}`,
            })}
            changed={again}
          />
        </Panel>
      ))}
      {!lately && list}
      {asked && <ReplayDialog request={asked.request} what={asked.what} close={() => setAsked(null)} started={again} />}
    </>
  );
}

function byTarget(groups: DeadGroup[]): Array<[string, DeadGroup[]]> {
  const found = new Map<string, DeadGroup[]>();
  for (const group of groups) found.set(group.target, [...(found.get(group.target) ?? []), group]);
  return [...found];
}

function StaleNotice({ preview, ask }: { preview: ReplayPreview | null; ask: () => void }) {
  if (!preview || preview.count === 0) return null;
  return (
    <div class="notice info">
      <span>
        <strong>{`${preview.complete ? '' : 'More than '}${plural(preview.count, 'delivery', 'deliveries')}`}</strong> died rendering with an
        older version of {preview.count === 1 ? 'its' : 'their'} template. The one in force may do better.
      </span>
      <Button kind="main" press={ask}>Revive…</Button>
    </div>
  );
}

type GroupsProps = {
  groups: DeadGroup[];
  open: string;
  toggle: (reason: string) => void;
  ask: (group: DeadGroup) => void;
  changed: () => void;
};

function Groups({ groups, open, toggle, ask, changed }: GroupsProps) {
  return (
    <Table label="Dead letters by reason" class="cards dead" head={['Reason', 'Count', 'Oldest', 'Newest', 'What the newest says', '']}>
      {groups.map((group) => [
        <tr key={group.reason}>
          <th scope="row"><Chip tone="bad">{REASONS[group.reason]}</Chip></th>
          <td class="num" data-label="Count">{count(group.count)}</td>
          <td data-label="Oldest"><Ago at={group.oldest_created_at} /></td>
          <td data-label="Newest"><Ago at={group.newest_created_at} /></td>
          <td class="detail" data-label="The newest says"><span class="mono" title={group.detail ?? undefined}>{group.detail ?? '–'}</span></td>
          <td class="does">
            <Button class="small" press={() => toggle(group.reason)} aria-expanded={open === group.reason}>
              {open === group.reason ? 'Hide' : 'Show'}
            </Button>
            <Button class="small" kind="main" press={() => ask(group)}>Replay…</Button>
          </td>
        </tr>,
        open === group.reason && (
          <tr key={`${group.reason}-letters`} class="inner">
            <td colSpan={6}><Letters group={group} changed={changed} /></td>
          </tr>
        ),
      ])}
    </Table>
  );
}

function Letters({ group, changed }: { group: DeadGroup; changed: () => void }) {
  const { target, reason } = group;
  const [older, setOlder] = useState<Delivery[]>([]);
  const [next, setNext] = useState<string | null | undefined>(undefined);
  const page = useLoad((signal) => api.deliveries({ state: 'dead', target, reason, limit: PAGE }, signal), [target, reason, group.count]);
  const { busy, trouble, act } = useAct();
  const rest = next === undefined ? (page.data?.next ?? null) : next;
  const more = (): void => act(async () => {
    const found = await api.deliveries({ state: 'dead', target, reason, limit: PAGE, before: rest });
    setOlder((now) => [...now, ...found.items]);
    setNext(found.next);
  });
  const rows = [...(page.data?.items ?? []), ...older];
  return (
    <>
      <Trouble words={page.trouble ?? trouble} again={page.again} />
      {!page.data && !page.trouble && <Loading what="the letters" />}
      <ul class="letters">
        {rows.map((delivery) => (
          <Letter key={delivery.id} delivery={delivery} changed={() => {
            page.again();
            changed();
          }} />
        ))}
      </ul>
      {rest !== null && <Button class="small" busy={busy} press={more}>Older</Button>}
    </>
  );
}

function Letter({ delivery, changed }: { delivery: Delivery; changed: () => void }) {
  const { busy, trouble, act } = useAct();
  const mode = delivery.reason === 'render' ? 'rerender' : 'frozen';
  const retry = (): void => act(async () => {
    await api.retryDelivery(delivery.id, mode);
    toast('The delivery is pending again.');
    changed();
  });
  const discard = (): void => act(async () => {
    await api.discardDelivery(delivery.id);
    toast('The delivery is discarded.');
    changed();
  });
  return (
    <li>
      <a href={href('events', delivery.event, { delivery: delivery.id })}>{delivery.type}</a>
      <span class="dim">{delivery.source} by {delivery.route}</span>
      {delivery.last_attempt && <ResultChip ok={delivery.last_attempt.ok} result={delivery.last_attempt.result} />}
      <span class="dim">{plural(delivery.attempts_made, 'attempt')}, died <Ago at={delivery.ended_at} /></span>
      <span class="does">
        <Button class="small" busy={busy} press={retry}>Retry</Button>
        <Button class="small" kind="danger" busy={busy} press={discard}>Discard</Button>
      </span>
      <Trouble words={trouble} />
    </li>
  );
}
