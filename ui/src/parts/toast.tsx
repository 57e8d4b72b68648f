// A word on what has been done; told to readers of screens, gone by itself.
import { useEffect, useState } from 'preact/hooks';

const SHOWN_MS = 6000;
type Toast = { id: number; text: string; bad: boolean };
let next = 1;
let tell: ((toast: Toast) => void) | null = null;

export function toast(text: string, bad = false): void {
  tell?.({ id: next, text, bad });
  next += 1;
}

export function Toasts() {
  const [toasts, setToasts] = useState<Toast[]>([]);
  useEffect(() => {
    tell = (toast) => {
      setToasts((now) => [...now.slice(-3), toast]);
      setTimeout(() => setToasts((now) => now.filter((other) => other.id !== toast.id)), SHOWN_MS);
    };
    return () => {
      tell = null;
    };
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map((toast) => (
        <div key={toast.id} class={toast.bad ? 'toast bad' : 'toast'}>{toast.text}</div>
      ))}
    </div>
  );
}
