import type { schema } from '@neurogrid/sdk';
import { useEffect, useState } from 'react';

import { client, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { AreaField, TextField } from '../../design/fields';
import { Money } from '../../design/parts';
import { ErrorNote } from '../../design/states';

interface Made {
  answer: schema.ImageAnswer;
  url: string;
}

/** A picture of words. It is fetched with the key, and shown out of memory. */
export function Picture({ model }: { model: schema.ModelView }) {
  const [prompt, setPrompt] = useState('');
  const [seed, setSeed] = useState('');
  const isSeed = seed === '' || /^\d{1,9}$/.test(seed);
  const make = useChange(async (): Promise<Made> => {
    const parameters = seed === '' ? {} : { seed: Number(seed) };
    const answer = await client.models.generateImage({ model: model.id, prompt, parameters });
    // Only ever from here: the key goes to no other host, whatever the answer names.
    const { pathname, search } = new URL(answer.image_url, location.origin);
    const picture = await (await client.transport.send('GET', pathname + search)).blob();
    return { answer, url: URL.createObjectURL(picture) };
  }, '/api/v1/billing', '/api/v1/wallet');
  const made = make.data;
  useEffect(() => () => { if (made !== undefined) URL.revokeObjectURL(made.url); }, [made]);
  return (
    <Card title={`Picture by ${model.id}`}>
      <AreaField label="What it shows" value={prompt} onChange={setPrompt} />
      <TextField label="Seed" inputMode="numeric" value={seed} onChange={setSeed} error={isSeed ? '' : 'Give a whole number, or leave it empty.'} />
      <div className="buttons">
        <Button kind="main" busy={make.isPending} disabled={prompt.trim() === '' || !isSeed || make.isPending} onClick={() => { make.mutate(); }}>
          Make it
        </Button>
      </div>
      <ErrorNote error={make.error} />
      {made !== undefined && (
        <>
          <img className="made" src={made.url} alt={prompt} />
          <p className="muted" role="status">
            <Money of={made.answer.cost_usdc} />, {made.answer.execution_time.toFixed(1)} s
          </p>
        </>
      )}
    </Card>
  );
}
