import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { Card } from '../../design/Card';
import { SelectField } from '../../design/fields';
import { Copyable } from '../../design/parts';
import { code, type Language } from './models';

const LANGUAGES: readonly (readonly [Language, string])[] = [
  ['python', 'Python, by the OpenAI package'],
  ['javascript', 'JavaScript, by the OpenAI package'],
  ['curl', 'curl'],
];

/** What the chat would send next, as a program. The key is never in it. */
export function Code({ request }: { request: schema.ChatRequest }) {
  const [language, setLanguage] = useState<Language>('python');
  const text = code(language, location.origin, request);
  return (
    <Card title="The same as code" actions={<Copyable text={text} shown="the program" label="the program" />}>
      <SelectField label="Language" value={language} onChange={setLanguage} options={LANGUAGES} />
      <pre className="code-shown" tabIndex={0} aria-label="Program">{text}</pre>
      <p className="muted">It reads the key from NEUROGRID_API_KEY.</p>
    </Card>
  );
}
