import { verifyReceipt, type VerifiedReceipt } from '@neurogrid/sdk';

import { client, useChange } from '../app/api';
import { Button } from '../design/Button';
import { Card, Facts } from '../design/Card';
import { decimalUsdc, shortened } from '../design/format';
import { Copyable, Status, type Tone } from '../design/parts';
import { ErrorNote, Note } from '../design/states';
import { Table } from '../design/Table';
import { save } from './save';

const TONES: Readonly<Record<string, Tone>> = { proven: 'good', claimed: 'warn', 'not present': 'plain' };

interface Props {
  taskId: string;
  leaseId: string;
}

/** A lease's receipt, checked here by this browser: no word of the coordinator's is taken for it. */
export function Receipt({ taskId, leaseId }: Props) {
  const ask = () => client.tasks.receipt(taskId, { lease_id: leaseId });
  const verify = useChange(async () => verifyReceipt(await ask(), { taskId, leaseId }));
  const download = useChange(async () => { save(await ask(), `${leaseId}.receipt.json`); });
  const buttons = (
    <>
      <Button kind="main" busy={verify.isPending} onClick={() => { verify.mutate(); }}>Verify in this browser</Button>
      <Button busy={download.isPending} onClick={() => { download.mutate(); }}>Download receipt</Button>
    </>
  );
  return (
    <Card title={`Receipt of lease ${shortened(leaseId)}`} actions={buttons}>
      <p>What the node and the coordinator have signed of this lease. Your browser checks every signature, hash and sum by itself.</p>
      <ErrorNote error={verify.error ?? download.error} />
      {verify.data !== undefined && <Verified of={verify.data} />}
    </Card>
  );
}

function Verified({ of }: { of: VerifiedReceipt }) {
  return (
    <>
      <Note><p><strong>The receipt is valid.</strong> Every check of this browser holds; compare the coordinator with the one that you trust.</p></Note>
      <Facts
        of={[
          ['Paid', `${decimalUsdc(BigInt(of.paidMicroUsdc))} USDC`],
          ['Market', of.network],
          ['Coordinator', <Copyable key="c" text={of.coordinator} shown={shortened(of.coordinator, 9)} label="the coordinator's id" />],
          ['Node', <Copyable key="n" text={of.nodeId} shown={shortened(of.nodeId, 9)} label="the node's id" />],
          ['Transaction', <Copyable key="t" text={of.transaction} shown={shortened(of.transaction, 9)} label="the transaction" />],
        ]}
      />
      <Table
        caption="What the receipt shows"
        rows={of.items.map((item, place) => ({ ...item, place }))}
        keyOf={({ place }) => String(place)}
        columns={[
          { name: 'Check', cell: ({ name }) => name },
          { name: 'Worth', cell: ({ proof }) => <Status of={proof} tone={TONES[proof] ?? 'plain'} /> },
          { name: 'Signed by', cell: ({ signedBy }) => signedBy || 'nobody' },
          { name: 'Shows', cell: ({ shows }) => <div className="wrap">{shows}</div> },
        ]}
      />
      <p>Not looked at here:</p>
      <ul>{of.notChecked.map((each) => <li key={each}>{each}</li>)}</ul>
    </>
  );
}
