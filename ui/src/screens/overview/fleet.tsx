// The instances that share the store: what each goes by, and the targets to which it makes the attempts.
import { api } from '../../api/client';
import type { Instance } from '../../api/types';
import { count, duration } from '../../format';
import { Ago, Panel, Table, Trouble } from '../../parts/basics';
import { Chip } from '../../parts/chip';
import { useLoad } from '../../parts/load';
import { href } from '../../router';

const FLEET_EVERY_MS = 5000;

/** How much of a fingerprint tells two configurations apart for people. */
const SHORT = 8;

/** A silence of less is usual. */
const QUIET_SECONDS = 5;

export function Fleet() {
  const fleet = useLoad(api.fleet, [], FLEET_EVERY_MS);
  return (
    <Panel title="Instances" flush={fleet.data !== null}>
      <Trouble words={fleet.trouble} again={fleet.again} />
      {fleet.data && (
        <Table label="Instances" class="cards" head={['Instance', 'Version', 'Started', 'Configuration', 'Makes the attempts to']}>
          {fleet.data.items.map((instance) => <Row key={instance.id} instance={instance} />)}
        </Table>
      )}
    </Panel>
  );
}

function Row({ instance }: { instance: Instance }) {
  const { plan, silent_seconds: silent } = instance;
  return (
    <tr>
      <th scope="row">
        {instance.name}{instance.this && <> <Chip tone="quiet">this one</Chip></>}
        {silent > QUIET_SECONDS && <> <Chip tone="quiet">{`heard of ${duration(silent)} ago`}</Chip></>}
      </th>
      <td data-label="Version">{instance.version}</td>
      <td data-label="Started"><Ago at={instance.started_at} /></td>
      <td data-label="Configuration">
        <span>
          {plan ? <>generation {count(plan.generation)}, <code title={plan.fingerprint}>{plan.fingerprint.slice(0, SHORT)}</code></> : <span class="dim">not told yet</span>}
          {instance.differs && <> <Chip tone="bad" title="Another one came into force last">differs</Chip></>}
        </span>
      </td>
      <td data-label="Makes the attempts to">
        <span>
          {instance.targets.length === 0 && <span class="dim">none</span>}
          {instance.targets.map((name, index) => (
            <span key={name}>
              {index > 0 && ', '}
              <a href={href('routes', '', { target: name })}>{name}</a>
              {instance.down.includes(name) && <> <Chip tone="bad">down</Chip></>}
            </span>
          ))}
        </span>
      </td>
    </tr>
  );
}
