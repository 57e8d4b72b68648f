// The small parts that every screen is made of.
import { cloneElement, type ComponentChildren, type JSX, type VNode } from 'preact';
import { useId } from 'preact/hooks';
import { exact, relative } from '../format';
import { Icon, type IconName } from './icon';
import { useNow } from './load';

/** A relative time; the exact one on hover and for readers of screens. */
export function Ago({ at, none = '–' }: { at: string | null; none?: string }) {
  const now = useNow();
  if (at === null) return <span class="dim">{none}</span>;
  return (
    <time dateTime={at} title={exact(at)}>
      {relative(at, now)}
    </time>
  );
}

export function Panel(props: {
  title?: string;
  id?: string;
  aside?: ComponentChildren;
  flush?: boolean;
  class?: string;
  children: ComponentChildren;
}) {
  return (
    <section class={`panel ${props.flush ? 'flush' : ''} ${props.class ?? ''}`} id={props.id} aria-label={props.title}>
      {props.title && (
        <header>
          <h2>{props.title}</h2>
          {props.aside && <div class="aside">{props.aside}</div>}
        </header>
      )}
      <div class="inside">{props.children}</div>
    </section>
  );
}

/** Nothing to show, and what would change that. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      {children && <p>{children}</p>}
    </div>
  );
}

export function Trouble({ words, again }: { words: string | null; again?: () => void }) {
  if (words === null) return null;
  return (
    <div class="trouble" role="alert">
      <span>{words}</span>
      {again && <button type="button" class="small" onClick={again}>Try again</button>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return <p class="loading" role="status">Loading {what}…</p>;
}

type ButtonProps = Omit<JSX.IntrinsicElements['button'], 'icon'> & {
  icon?: IconName;
  busy?: boolean;
  kind?: 'plain' | 'main' | 'danger' | 'quiet';
  /** Why it cannot be pressed now; it stays reachable by the keyboard and says so. */
  unless?: string | null | false;
  press: () => void;
};

export function Button({ icon, busy, kind = 'plain', unless, press, children, ...rest }: ButtonProps) {
  const held = Boolean(busy) || Boolean(unless);
  return (
    <button
      type="button"
      {...rest}
      class={`${kind} ${typeof rest.class === 'string' ? rest.class : ''}`}
      aria-disabled={held}
      title={unless || rest.title}
      onClick={() => {
        if (!held) press();
      }}
    >
      {icon && <Icon name={icon} />}
      <span>{busy ? '…' : children}</span>
    </button>
  );
}

/** A control with its label; what is to be said of it besides describes it, and is no part of its name. */
export function Field({ label, hint, children }: { label: string; hint?: string; children: VNode<{ 'aria-describedby'?: string }> }) {
  const id = useId();
  return (
    <div class="field">
      <label class="field">
        <span class="label">{label}</span>
        {hint ? cloneElement(children, { 'aria-describedby': id }) : children}
      </label>
      {hint && <span class="hint" id={id}>{hint}</span>}
    </div>
  );
}

export function Select(props: {
  label: string;
  value: string;
  options: Array<[value: string, words: string]>;
  change: (value: string) => void;
  hideLabel?: boolean;
}) {
  return (
    <label class="field">
      <span class={props.hideLabel ? 'unseen' : 'label'}>{props.label}</span>
      <select value={props.value} onChange={(event) => props.change(event.currentTarget.value)}>
        {props.options.map(([value, words]) => (
          <option key={value} value={value} selected={value === props.value}>{words}</option>
        ))}
      </select>
    </label>
  );
}

/** A term and what it is, in two columns. */
export function Facts({ facts }: { facts: Array<[term: string, value: ComponentChildren] | null> }) {
  return (
    <dl class="facts">
      {facts.map((fact) => fact && (
        <div key={fact[0]}>
          <dt>{fact[0]}</dt>
          <dd>{fact[1]}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A table that may scroll sideways by itself, so that the page never does. On a phone rows become cards. */
export function Table(props: { label: string; head: ComponentChildren[]; children: ComponentChildren; class?: string }) {
  return (
    <div class="scroll" role="region" aria-label={props.label} tabIndex={0}>
      <table class={props.class}>
        <thead>
          <tr>{props.head.map((cell, index) => <th key={index} scope="col">{cell}</th>)}</tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </div>
  );
}
