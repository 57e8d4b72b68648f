// Tabs with a roving focus: arrows move between them, Tab goes on into what they show.
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';

export type Tab<Id extends string> = { id: Id; label: ComponentChildren };

export function Tabs<Id extends string>(props: {
  label: string;
  name: string;
  tabs: Array<Tab<Id>>;
  shown: Id;
  show: (id: Id) => void;
  children: ComponentChildren;
}) {
  const list = useRef<HTMLDivElement>(null);
  const move = (event: KeyboardEvent): void => {
    const at = props.tabs.findIndex((tab) => tab.id === props.shown);
    const last = props.tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    const tab = to === undefined ? undefined : props.tabs[to];
    if (!tab) return;
    event.preventDefault();
    props.show(tab.id);
    list.current?.querySelector<HTMLElement>(`#${props.name}-tab-${tab.id}`)?.focus();
  };
  return (
    <div class="tabs">
      <div role="tablist" aria-label={props.label} ref={list} onKeyDown={move}>
        {props.tabs.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`${props.name}-tab-${tab.id}`}
            aria-selected={tab.id === props.shown}
            aria-controls={`${props.name}-panel`}
            tabIndex={tab.id === props.shown ? 0 : -1}
            onClick={() => props.show(tab.id)}
          >
            {tab.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${props.name}-panel`} aria-labelledby={`${props.name}-tab-${props.shown}`}>
        {props.children}
      </div>
    </div>
  );
}
