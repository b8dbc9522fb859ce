/** Give the reader a file of this text or these bytes. */
export function save(content: string | Uint8Array<ArrayBuffer>, name: string): void {
  // Bytes without a kind are never opened as a page of this coordinator's.
  const address = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }));
  const link = document.createElement('a');
  link.href = address;
  // A name is a file's, not a path.
  link.download = name.split('/').at(-1) ?? 'file';
  link.click();
  setTimeout(() => { URL.revokeObjectURL(address); }, 0);
}
