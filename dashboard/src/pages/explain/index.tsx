import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { Page } from '../../design/Page';
import { Empty } from '../../design/states';
import { useSettled } from '../submit/asking';
import { Explanation } from '../submit/Explanation';
import { Fields } from '../submit/Fields';
import { NEW, requestOf } from '../submit/form';

/** Who could run a task, and what is in the way of the others; nothing is submitted. */
export default function ExplainPage() {
  const [form, setForm] = useState(NEW);
  const { request, problems } = requestOf(form);
  const settled = JSON.parse(useSettled(JSON.stringify(request))) as schema.TaskRequest | null;
  return (
    <Page title="Explain" lead="Describe a task, and see which nodes could run it now and what keeps the others from it. Nothing is submitted.">
      {settled === null ? <Empty>Name an image: the answer is shown here, and changes as you type.</Empty> : <Explanation request={settled} />}
      <Fields form={form} problems={form.image === '' ? {} : problems} onChange={setForm} />
    </Page>
  );
}
