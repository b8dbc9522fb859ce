/** Light, dark, or as the system says. Kept by the browser: it is no secret. */
import { useState } from 'react';

export type Theme = 'system' | 'light' | 'dark';

const PLACE = 'neurogrid.theme';
const NEXT: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };

function stored(): Theme {
  const value = localStorage.getItem(PLACE);
  return value === 'light' || value === 'dark' ? value : 'system';
}

/** Show the page in the theme that was chosen. Called before the first paint of it. */
export function apply(theme: Theme = stored()): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

/** The theme, and how to go to the next one. */
export function useTheme(): [Theme, () => void] {
  const [theme, set] = useState(stored);
  return [
    theme,
    () => {
      const next = NEXT[theme];
      localStorage.setItem(PLACE, next);
      apply(next);
      set(next);
    },
  ];
}
