// A dialog of the browser's own: it holds the focus, gives it back, and Escape closes it.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icon';

export function Dialog(props: { title: string; close: () => void; wide?: boolean; fixed?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={props.wide ? 'wide' : undefined}
      aria-label={props.title}
      onCancel={(event) => {
        event.preventDefault();
        if (!props.fixed) props.close();
      }}
    >
      <header>
        <h2>{props.title}</h2>
        {!props.fixed && (
          <button type="button" class="quiet" aria-label="Close" onClick={props.close}>
            <Icon name="close" />
          </button>
        )}
      </header>
      <div class="inside">{props.children}</div>
    </dialog>
  );
}
