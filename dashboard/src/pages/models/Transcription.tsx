import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Field } from '../../design/fields';
import { bytes } from '../../design/format';
import { Money } from '../../design/parts';
import { ErrorNote } from '../../design/states';

const SIZE_MAX = 25 * 1024 * 1024;

/** What a recording says. */
export function Transcription({ model }: { model: schema.ModelView }) {
  const [file, setFile] = useState<File | null>(null);
  const isTooLarge = file !== null && file.size > SIZE_MAX;
  const hear = useChange((recording: File) => client.models.transcribe({ model: model.id, file: recording }), '/api/v1/billing', '/api/v1/wallet');
  return (
    <Card title={`Transcription by ${model.id}`}>
      <Field label="Recording" hint="WAV, MP3, FLAC or Ogg; 25 MiB at most." error={isTooLarge ? `It has ${bytes(file.size)}: cut it into parts.` : ''}>
        {(props) => <input type="file" accept="audio/*" onChange={(event) => { setFile(event.target.files?.[0] ?? null); }} {...props} />}
      </Field>
      <div className="buttons">
        <Button kind="main" busy={hear.isPending} disabled={file === null || isTooLarge || hear.isPending} onClick={() => { if (file !== null) hear.mutate(file); }}>
          Transcribe
        </Button>
      </div>
      <ErrorNote error={hear.error} />
      {hear.data !== undefined && (
        <div className="turn" role="status">
          <p>{hear.data.transcription || 'It says nothing.'}</p>
          <small className="muted">
            <Money of={hear.data.cost_usdc} />, {hear.data.execution_time.toFixed(1)} s{hear.data.language !== '' && `, in ${hear.data.language}`}
          </small>
        </div>
      )}
    </Card>
  );
}
