// What flows where, and how its ends are: sources with what failed to verify, routes, targets. Secrets by name only.
import { useEffect } from 'preact/hooks';
import { api } from '../api/client';
import type { Route } from '../api/types';
import { plural } from '../format';
import { Empty, Loading, Panel, Trouble } from '../parts/basics';
import { Chip } from '../parts/chip';
import { Icon } from '../parts/icon';
import { useLoad } from '../parts/load';
import { href } from '../router';
import { Sources } from './routes/sources';
import { Targets } from './routes/targets';

const EVERY_MS = 4000;

export function Routes({ params, refresh }: { params: URLSearchParams; refresh: () => void }) {
  const routes = useLoad(async (signal) => (await api.routes(signal)).items, [], 4 * EVERY_MS);
  const targets = useLoad(async (signal) => (await api.targets(signal)).items, [], EVERY_MS);
  const sources = useLoad(async (signal) => (await api.sources(signal)).items, [], EVERY_MS);
  const wanted = params.get('target') ? `target-${params.get('target')}` : params.get('source') ? `source-${params.get('source')}` : '';
  const there = targets.data !== null && sources.data !== null;
  useEffect(() => {
    if (wanted && there) document.getElementById(wanted)?.focus();
  }, [wanted, there]);
  return (
    <>
      <header class="head"><h1>Routes and targets</h1></header>
      <Panel title="What flows where">
        <Trouble words={routes.trouble} again={routes.again} />
        {!routes.data && !routes.trouble && <Loading what="the routes" />}
        {routes.data?.length === 0 && <Empty title="No route is configured">Without one every event is kept as unmatched. Name one under <code>routes</code>.</Empty>}
        {routes.data && routes.data.length > 0 && (
          <ol class="flows">{routes.data.map((route) => <Flow key={route.name} route={route} />)}</ol>
        )}
      </Panel>
      <Targets targets={targets} changed={() => {
        targets.again();
        refresh();
      }} />
      <Sources sources={sources} />
    </>
  );
}

function Flow({ route }: { route: Route }) {
  return (
    <li>
      <div class="ends">
        {route.from.map((source) => <a key={source} class="node" href={href('events', '', { source })}>{source}</a>)}
      </div>
      <Icon name="arrow" />
      <div class="node way">
        <div class="line">
          <a href={href('events', '', { route: route.name })}><strong>{route.name}</strong></a>
          {route.tests > 0 && <Chip tone="quiet">{plural(route.tests, 'test')}</Chip>}
          {route.revive === 'auto' && <Chip tone="info" title="What died rendering is taken up again once the template has changed">revive auto</Chip>}
        </div>
        <div class="rules">
          {route.match.length === 0
            ? <span class="dim">every event</span>
            : route.match.map((rule) => <span key={rule.field}><code>{rule.field}</code> is <code>{rule.wanted}</code></span>)}
        </div>
        <div class="dim">
          {route.template
            ? <a href={href('playground', '', { template: route.template, route: route.name })}>{route.template}</a>
            : 'the body goes on unchanged'}
          {route.schema && <> · schema <code>{route.schema}</code></>}
        </div>
      </div>
      <Icon name="arrow" />
      <div class="ends">
        {route.to.map((target) => <a key={target} class="node" href={href('routes', '', { target })} onClick={(event) => {
          event.preventDefault();
          document.getElementById(`target-${target}`)?.focus();
        }}>{target}</a>)}
      </div>
    </li>
  );
}
