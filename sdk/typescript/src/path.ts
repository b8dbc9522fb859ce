/** A path with ids in it, each of which stays one part of it: path`/api/v1/tasks/${id}`. */
export function path(texts: TemplateStringsArray, ...ids: (string | number)[]): string {
  return texts.map((text, at) => text + (at < ids.length ? encodeURIComponent(ids[at] ?? '') : '')).join('');
}

/** The parts of a file's path, each encoded. */
export function filePath(name: string): string {
  return name.split('/').map(encodeURIComponent).join('/');
}

/** Whether an address with this path would be another's: an id was empty, or dots. */
export function isAstray(path: string): boolean {
  return /\/(\.{0,2})(\/|$)/.test(path) && path !== '/';
}

