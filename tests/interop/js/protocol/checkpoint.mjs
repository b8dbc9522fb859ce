// A checkpoint's manifest, as docs/protocol.md ("Checkpoints") has it.

import { sha256 } from './canonical.mjs';
import { parseJson } from './json.mjs';
import { Malformed, parse } from './page.mjs';

/** The files of a manifest, which has to be the one that the checkpoint names. */
export function readManifest(text, checkpoint) {
  const refuse = (why) => {
    throw new Malformed(`manifest: ${why}`);
  };
  if (sha256(text) !== checkpoint.manifest_sha256) refuse('another hash');
  const files = parseJson(text).files.map((file) => parse('OutputFile', file));
  const paths = files.map((file) => file.path);
  const byCharacter = (one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other));
  const sorted = [...new Set(paths)].sort(byCharacter);
  if (paths.length !== sorted.length || paths.some((path, at) => path !== sorted[at])) refuse('not sorted');
  const folders = paths.flatMap((path) => path.split('/').map((_, depth, parts) => parts.slice(0, depth).join('/')));
  if (paths.some((path) => folders.includes(path))) refuse('a file where it has a folder');
  const size = files.reduce((sum, file) => sum + file.size_bytes, 0);
  if (files.length !== checkpoint.files || size !== checkpoint.size_bytes) refuse('not as many, or not as large');
  return files;
}
