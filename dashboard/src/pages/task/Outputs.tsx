import type { schema } from '@neurogrid/sdk';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { bytes, shortened } from '../../design/format';
import { Copyable } from '../../design/parts';
import { ErrorNote, Loaded, Note } from '../../design/states';
import { Table } from '../../design/Table';
import { save } from '../../receipt/save';

// What a browser is given whole, so that its hash can be compared before it is saved.
const BYTES_MAX = 512e6;

/** The files that the job has left. */
export function Outputs({ taskId }: { taskId: string }) {
  const outputs = useApi<{ outputs: schema.OutputView[] }>(`/api/v1/tasks/${encodeURIComponent(taskId)}/outputs`);
  const download = useChange(async (name: string) => {
    save(await client.tasks.output(taskId, name), name);
    return name;
  });
  return (
    <Card title="Outputs">
      <ErrorNote error={download.error} />
      {download.data !== undefined && <Note><p>{download.data} has the hash that its node signed.</p></Note>}
      <Loaded query={outputs}>
        {(of) => (
          <Table
            caption="Outputs"
            rows={of.outputs}
            keyOf={({ path }) => path}
            columns={[
              { name: 'File', cell: ({ path }) => <span title={path}>{path.slice(0, 80)}</span>, by: ({ path }) => path },
              { name: 'Size', cell: ({ size }) => bytes(size), by: ({ size }) => size, numeric: true },
              { name: 'SHA-256', cell: ({ path, sha256 }) => <Copyable text={sha256} shown={shortened(sha256)} label={`the hash of ${path}`} /> },
              {
                name: 'Get',
                cell: ({ path, size }) => size > BYTES_MAX ? 'too large for a browser: use neurogrid' : (
                  <Button aria-label={`Download ${path}`} busy={download.isPending && download.variables === path} onClick={() => { download.mutate(path); }}>Download</Button>
                ),
              },
            ]}
            empty="It has left no files (yet). What a job writes to its outputs folder is here once it has ended."
          />
        )}
      </Loaded>
    </Card>
  );
}
