// Dark or light: what the system prefers, unless the person has chosen here.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'ingate-theme';
const listeners = new Set<() => void>();
const systemDark = matchMedia('(prefers-color-scheme: dark)');

export function chosen(): Theme {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

export const isDark = (): boolean => (chosen() === 'system' ? systemDark.matches : chosen() === 'dark');

export function choose(theme: Theme): void {
  if (theme === 'system') localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, theme);
  apply();
}

export function apply(): void {
  const theme = chosen();
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const listener of listeners) listener();
}

/** Calls back when the colours change, for what draws with them itself. */
export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

systemDark.addEventListener('change', () => {
  for (const listener of listeners) listener();
});
