import { IntegrityError, NotFoundError } from '../errors.js';
import { sha256Of } from '../hash.js';
import { path } from '../path.js';
import type { ArtifactDeleted, ArtifactView } from '../schema.js';
import type { CallOptions } from '../transport.js';
import { Group } from './group.js';

// What is held in memory at once.
const BYTES_MAX = 1024 * 1024 * 1024;

/** Files of the account, by their SHA-256. */
export class Artifacts extends Group {
  /** Upload a file, unless the account has it: what tasks name as an input is its `sha256`. */
  async upload(file: Blob | Uint8Array<ArrayBuffer> | string, options?: CallOptions): Promise<ArtifactView> {
    const data = typeof file === 'string' ? new TextEncoder().encode(file) : file;
    const bytes = data instanceof Blob ? await data.arrayBuffer() : data;
    const sha256 = await sha256Of(bytes);
    const place = path`/api/v1/artifacts/${sha256}`;
    try {
      await this.transport.send('HEAD', place, options);
      return { sha256, size: bytes.byteLength, created: false };
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
    const headers = { 'Content-Type': 'application/octet-stream' };
    return this.transport.request('PUT', place, { ...options, body: bytes, headers });
  }

  /**
   * A file, whole, compared with its hash; at most 1 GiB. A larger one is better read as it comes, by
   * `client.transport.send`.
   *
   * @throws IntegrityError it is another.
   */
  async download(sha256: string, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    const data = await this.transport.bytes(path`/api/v1/artifacts/${sha256}`, options, BYTES_MAX);
    if ((await sha256Of(data)) !== sha256) throw new IntegrityError(`the file does not have the hash ${sha256}`);
    return data;
  }

  delete(sha256: string, options?: CallOptions): Promise<ArtifactDeleted> {
    return this.call('DELETE', path`/artifacts/${sha256}`, options);
  }
}
