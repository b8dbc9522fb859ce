import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { AreaField } from '../../design/fields';
import { ErrorNote } from '../../design/states';
import { usage } from './models';

const TEXTS_MAX = 20;

/** How near texts are to the first of them, by the model's vectors. */
export function Embedding({ model }: { model: schema.ModelView }) {
  const [text, setText] = useState('A cat sleeps on the sofa.\nA kitten naps on the couch.\nThe invoice is due on Friday.');
  const lines = text.split('\n').map((line) => line.trim()).filter((line) => line !== '');
  const embed = useChange(async (input: string[]) => ({ input, answer: await client.models.embed({ model: model.id, input, encoding_format: 'float' }) }));
  return (
    <Card title={`Embeddings by ${model.id}`}>
      <AreaField label="Texts, one on each line" value={text} onChange={setText} error={lines.length > TEXTS_MAX ? `Give ${TEXTS_MAX} at most.` : ''} />
      <div className="buttons">
        <Button kind="main" busy={embed.isPending} disabled={lines.length < 1 || lines.length > TEXTS_MAX || embed.isPending} onClick={() => { embed.mutate(lines); }}>
          Compare
        </Button>
      </div>
      <ErrorNote error={embed.error} />
      {embed.data !== undefined && (
        <div role="status">
          <ol>
            {embed.data.input.map((line, index) => (
              <li key={index}>
                {near(embed.data.answer.data[0]?.embedding, embed.data.answer.data[index]?.embedding)} – {line}
              </li>
            ))}
          </ol>
          <small className="muted">1 is the same direction. {usage(embed.data.answer.usage)}.</small>
        </div>
      )}
    </Card>
  );
}

/** The cosine of the angle between two vectors. */
function near(left: unknown, right: unknown): string {
  if (!Array.isArray(left) || !Array.isArray(right)) return '–';
  const [a, b] = [left as number[], right as number[]];
  const dot = (x: number[], y: number[]): number => x.reduce((sum, value, at) => sum + value * (y[at] ?? 0), 0);
  return (dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))).toFixed(3);
}
