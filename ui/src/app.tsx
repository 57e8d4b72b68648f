// The frame: the rail, the screen that the address names, and the question for the token.
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, words } from './api/client';
import { token } from './api/token';
import type { Overview } from './api/types';
import { plural } from './format';
import { Field } from './parts/basics';
import { Dialog } from './parts/dialog';
import { Icon, type IconName } from './parts/icon';
import { useLoad, type Loaded } from './parts/load';
import { Toasts } from './parts/toast';
import { href, usePlace, type Place } from './router';
import { Dead } from './screens/dead';
import { EventScreen } from './screens/event';
import { Events } from './screens/events';
import { OverviewScreen } from './screens/overview';
import { Playground } from './screens/playground';
import { Routes } from './screens/routes';
import { choose, chosen, type Theme } from './theme';

const OVERVIEW_EVERY_MS = 5000;

const SCREENS: Array<{ id: string; label: string; short: string; icon: IconName }> = [
  { id: 'overview', label: 'Overview', short: 'Overview', icon: 'overview' },
  { id: 'events', label: 'Events', short: 'Events', icon: 'events' },
  { id: 'dead', label: 'Dead letters', short: 'Dead', icon: 'dead' },
  { id: 'routes', label: 'Routes and targets', short: 'Routes', icon: 'routes' },
  { id: 'playground', label: 'Playground', short: 'Playground', icon: 'playground' },
];

export function App() {
  const place = usePlace();
  const overview = useLoad(api.overview, [], OVERVIEW_EVERY_MS);
  const main = useRef<HTMLElement>(null);
  const label = SCREENS.find((screen) => screen.id === place.screen)?.label ?? 'ingate';
  const title = place.screen === 'events' && place.id ? 'Event' : label;

  useEffect(() => {
    document.title = `${title} · ingate`;
  }, [title]);
  useFocusOnNewScreen(place, main);

  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        main.current?.focus();
      }}>
        Skip to content
      </a>
      <div class="frame">
        <Rail shown={place.screen} overview={overview.data} />
        <main id="main" tabIndex={-1} ref={main} aria-label={title}>
          <Notice overview={overview} />
          <Boundary key={`${place.screen}/${place.id}`}>
            <Screen place={place} overview={overview} />
          </Boundary>
        </main>
      </div>
      <TokenQuestion />
      <Toasts />
    </>
  );
}

/** A mistake of ours in one screen leaves the others, and says what it was. */
class Boundary extends Component<{ children: ComponentChildren }, { failed: string | null }> {
  override state = { failed: null };

  override componentDidCatch(error: unknown): void {
    console.error(error);
    this.setState({ failed: words(error) });
  }

  override render() {
    if (this.state.failed === null) return this.props.children;
    return <div class="notice bad" role="alert">{`This screen has failed, which it should not: ${this.state.failed}`}</div>;
  }
}

/** Who goes to another screen by keyboard goes on from its beginning, not from the link that is gone. */
function useFocusOnNewScreen(place: Place, main: { current: HTMLElement | null }): void {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) first.current = false;
    else {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [place.screen, place.id]);
}

function Screen({ place, overview }: { place: Place; overview: Loaded<Overview> }) {
  const names = overview.data;
  switch (place.screen) {
    case 'overview': return <OverviewScreen overview={overview} />;
    case 'events': return place.id
      ? <EventScreen key={place.id} id={place.id} params={place.params} overview={names} />
      : <Events params={place.params} overview={names} />;
    case 'dead': return <Dead params={place.params} />;
    case 'routes': return <Routes params={place.params} refresh={overview.again} />;
    case 'playground': return <Playground params={place.params} overview={names} />;
    default: return (
      <div class="empty">
        <strong>There is no such page.</strong>
        <p><a href={href('overview')}>Go to the overview</a></p>
      </div>
    );
  }
}

function Rail({ shown, overview }: { shown: string; overview: Overview | null }) {
  return (
    <nav class="rail" aria-label="Screens">
      <a class="brand" href={href('overview')} aria-label="ingate, overview">
        <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M1 2h14l-5 6v6H6V8z" /></svg>
        <span>ingate</span>
      </a>
      <ul>
        {SCREENS.map((screen) => (
          <li key={screen.id}>
            <a href={href(screen.id)} aria-current={screen.id === shown ? 'page' : undefined} aria-label={screen.label}>
              <Icon name={screen.icon} />
              <span class="long">{screen.label}</span>
              <span class="short">{screen.short}</span>
              {screen.id === 'dead' && overview && overview.dead > 0 && (
                <span class="badge" aria-label={`${overview.dead} dead`}>{overview.dead > 999 ? '999+' : overview.dead}</span>
              )}
            </a>
          </li>
        ))}
      </ul>
      <div class="foot">
        <ThemeSwitch />
        {overview && <span class="dim version">{`ingate ${overview.version}`}</span>}
      </div>
    </nav>
  );
}

const THEMES: Record<Theme, { icon: IconName; next: Theme; word: string }> = {
  system: { icon: 'system', next: 'dark', word: 'as the system' },
  dark: { icon: 'moon', next: 'light', word: 'dark' },
  light: { icon: 'sun', next: 'system', word: 'light' },
};

function ThemeSwitch() {
  const [theme, setTheme] = useState(chosen());
  const { icon, next, word } = THEMES[theme];
  const label = `Colours: ${word}. Change to ${THEMES[next].word}`;
  return (
    <button
      type="button"
      class="quiet theme"
      aria-label={label}
      title={label}
      onClick={() => {
        choose(next);
        setTheme(next);
      }}
    >
      <Icon name={icon} />
      <span class="long">{word}</span>
    </button>
  );
}

/** What holds for every screen: that the door does not answer, or that the daemon takes no events. */
function Notice({ overview }: { overview: Loaded<Overview> }) {
  if (overview.trouble && !token.wanted()) {
    return <div class="notice bad" role="alert">{`${overview.trouble.replace(/\.$/, '')}. What is shown may be old.`}</div>;
  }
  if (overview.data && !overview.data.ready) {
    return <div class="notice bad" role="alert">{`No events are taken now: ${overview.data.reasons.join('; ')}`}</div>;
  }
  const differing = overview.data?.fleet.differing ?? 0;
  if (differing > 0) {
    return (
      <div class="notice info" role="status">
        {`${plural(differing, 'instance')} ${differing === 1 ? 'goes' : 'go'} by another configuration than the one that came into force last. `}
        <a href={href('overview')}>Show the instances</a>
      </div>
    );
  }
  return null;
}

function TokenQuestion() {
  const [wanted, setWanted] = useState(token.wanted());
  const [value, setValue] = useState('');
  const refused = token.get() !== null;
  useEffect(() => token.listen(setWanted), []);
  if (!wanted) return null;
  return (
    <Dialog title="The door asks for its token" close={() => undefined} fixed>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (value.trim()) token.set(value.trim());
        setValue('');
      }}>
        <Field label="Token" hint="The value of admin.token in the configuration. It is kept in this tab until it is closed.">
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={value}
            onInput={(event) => setValue(event.currentTarget.value)}
            autofocus
          />
        </Field>
        {refused && <p class="trouble" role="alert">The token that was given is not the right one.</p>}
        <div class="buttons">
          <button type="submit" class="main">Open</button>
        </div>
      </form>
    </Dialog>
  );
}

