// "Inputs and outputs" of docs/protocol.md: files over HTTP, by their hashes.

import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

async function request(start, method, hash, body) {
  return fetch(`${start.artifacts_url}/${hash}`, {
    method,
    body,
    redirect: 'error',
    headers: { authorization: `Bearer ${start.artifacts_token}` },
  });
}

/** Fetch every input of a job into a folder. */
export async function fetchInputs(start, folder) {
  for (const { path, sha256: hash } of start.job.inputs) {
    const answer = await request(start, 'GET', hash);
    const content = Buffer.from(await answer.arrayBuffer());
    if (!answer.ok || sha256(content) !== hash) throw new Error(`${path}: ${answer.status}`);
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

/** Put every file of a folder; the list of them as a result has it. */
export async function putOutputs(start, folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const outputs = [];
  for (const entry of entries.filter((one) => one.isFile())) {
    // Node.js 18 and 20 call the folder by different names.
    const file = join(entry.parentPath ?? entry.path, entry.name);
    const content = await readFile(file);
    const hash = sha256(content);
    const answer = await request(start, 'PUT', hash, content);
    if (!answer.ok) throw new Error(`${file}: ${answer.status} ${await answer.text()}`);
    outputs.push({ path: relative(folder, file), sha256: hash, size_bytes: content.length });
  }
  return outputs.sort((a, b) => (a.path < b.path ? -1 : 1));
}
