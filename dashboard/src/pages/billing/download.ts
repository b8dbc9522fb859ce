/** Have the browser keep something that was fetched with the key; a link alone would carry none. */
export function download(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it by then.
  setTimeout(() => { URL.revokeObjectURL(url); }, 60_000);
}
