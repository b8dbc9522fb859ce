/** Numbers, money, times and sizes as they are shown. Money is never a float: USDC in decimal strings, or micro-USDC as bigint. */

const MICRO = 1_000_000n;

/** Micro-USDC of a decimal string of the API; null where it is none. */
export function microUsdc(text: string): bigint | null {
  const match = /^(-?)(\d{1,18})(?:\.(\d{1,6}))?$/.exec(text);
  if (match === null) return null;
  const [, sign = '', whole = '0', part = ''] = match;
  const value = BigInt(whole) * MICRO + BigInt(part.padEnd(6, '0'));
  return sign === '-' ? -value : value;
}

/** Micro-USDC as a decimal string: at least two digits after the point, at most six. */
export function decimalUsdc(micro: bigint): string {
  const size = micro < 0n ? -micro : micro;
  const part = String(size % MICRO).padStart(6, '0').replace(/0{1,4}$/, '');
  return `${micro < 0n ? '-' : ''}${String(size / MICRO)}.${part}`;
}

/** An amount of the API's with its currency; what is no amount is shown as it is. */
export function usdc(text: string | null | undefined): string {
  if (text === null || text === undefined) return '–';
  const micro = microUsdc(text);
  return `${micro === null ? text : decimalUsdc(micro)} USDC`;
}

/** `1.5 GB`: decimal, as the API has it. */
export function bytes(size: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = size;
  let unit = 0;
  while (Math.abs(value) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit] ?? ''}`;
}

/** `1 h 2 min`, `12 s`, `0.25 s`: the two greatest units. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Number(seconds.toFixed(2))} s`;
  const whole = Math.round(seconds);
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** A share from 0 to 1 as per cent. */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** The first and last characters of something long. */
export function shortened(text: string, kept = 6): string {
  return text.length <= 2 * kept + 1 ? text : `${text.slice(0, kept)}…${text.slice(-kept)}`;
}
