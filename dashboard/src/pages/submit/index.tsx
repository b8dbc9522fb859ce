import './submit.css';

import { InvalidRequestError, type schema } from '@neurogrid/sdk';
import { useState, type SyntheticEvent } from 'react';
import { useNavigate, useSearchParams } from 'react-router';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card } from '../../design/Card';
import { Field, SelectField } from '../../design/fields';
import { bytes } from '../../design/format';
import { Page } from '../../design/Page';
import { Copyable } from '../../design/parts';
import { Empty, ErrorNote, Loaded, Note } from '../../design/states';
import { useSettled } from './asking';
import { Estimate, Explanation } from './Explanation';
import { Fields } from './Fields';
import { formOf, NEW, placeOf, requestOf, type Form } from './form';
import { asCommand, asCurl, asPython } from './programs';
import { lostOf, namesOf, NO_REST } from './rest';

const FILE_BYTES_MAX = 1e9;

/** A task by a form: empty, or as another was (`?from=`). */
export default function SubmitPage() {
  const from = useSearchParams()[0].get('from');
  return (
    <Page title="Submit a task" lead="A container that runs on a node of the market. You pay for the time that it takes, never more than you allow.">
      {from === null ? <SubmitForm first={NEW} /> : <Again taskId={from} />}
    </Page>
  );
}

function Again({ taskId }: { taskId: string }) {
  const task = useApi<schema.TaskView>(`/api/v1/tasks/${encodeURIComponent(taskId)}`);
  return <Loaded query={task}>{(of) => <SubmitForm key={of.id} first={formOf(of)} lost={lostOf(of)} />}</Loaded>;
}

function SubmitForm({ first, lost = [] }: { first: Form; lost?: readonly string[] }) {
  const [form, setForm] = useState(first);
  const [isTried, setTried] = useState(false);
  const navigate = useNavigate();
  const { request, problems } = requestOf(form);
  const settled = useSettled(JSON.stringify(request));
  const asked = JSON.parse(settled) as schema.TaskRequest | null;
  const submit = useChange((task: schema.TaskRequest) => client.tasks.create(task), '/api/v1/tasks');
  const refused = submit.error instanceof InvalidRequestError ? placeOf(submit.error.field) : null;
  const shown = { ...(isTried ? problems : {}), ...(refused !== null && { [refused]: submit.error?.message ?? '' }) };
  const send = (event: SyntheticEvent): void => {
    event.preventDefault();
    setTried(true);
    if (request === null) return;
    submit.mutate(request, { onSuccess: (task) => void navigate(`/tasks/${task.id}`) });
  };
  return (
    <>
      {lost.length > 0 && <Note><p>Not taken over from that task: {lost.join(', ')}. Give it again where the form has a field; use the command line or an SDK for the rest.</p></Note>}
      {namesOf(form.rest).length > 0 && (
        <Note>
          <p>Also taken over from that task, without a field here: {namesOf(form.rest).join(', ')}.</p>
          <Button kind="quiet" onClick={() => { setForm({ ...form, rest: NO_REST }); }}>Leave these out</Button>
        </Note>
      )}
      <form className="page" onSubmit={send} noValidate aria-label="Task">
        <Fields form={form} problems={shown} onChange={setForm} />
        <Inputs form={form} onChange={setForm} />
        <ErrorNote error={submit.error} />
        <div className="buttons">
          <Button kind="main" type="submit" busy={submit.isPending} disabled={submit.isPending}>Submit</Button>
        </div>
      </form>
      {asked === null ? <Empty>What it would cost is shown here once the form is complete.</Empty> : (
        <>
          <Estimate request={asked} />
          <Explanation request={asked} />
          <SameAs request={asked} />
        </>
      )}
    </>
  );
}

function Inputs({ form, onChange }: { form: Form; onChange: (form: Form) => void }) {
  const upload = useChange(async (file: File) => {
    if (file.size > FILE_BYTES_MAX) throw new Error(`${file.name} has ${bytes(file.size)}; at most ${bytes(FILE_BYTES_MAX)} can be added here. Upload it by neurogrid submit --input.`);
    const { sha256 } = await client.artifacts.upload(file);
    onChange({ ...form, inputs: [...form.inputs, { path: file.name, sha256 }] });
  });
  return (
    <Card title="Input files">
      <Field label="Add a file" hint={`The job finds it by its name among its inputs. At most ${bytes(FILE_BYTES_MAX)} here.`}>
        {(props) => (
          <input
            type="file"
            disabled={upload.isPending}
            onChange={({ target }) => {
              const file = target.files?.[0];
              if (file !== undefined) upload.mutate(file);
            }}
            {...props}
          />
        )}
      </Field>
      <ErrorNote error={upload.error} />
      <ul>
        {form.inputs.map((input) => (
          <li key={input.path}>
            <code>{input.path}</code>{' '}
            <Button kind="quiet" onClick={() => { onChange({ ...form, inputs: form.inputs.filter((each) => each !== input) }); }}>Remove {input.path}</Button>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function SameAs({ request }: { request: schema.TaskRequest }) {
  const [as, setAs] = useState<'command' | 'curl' | 'json' | 'python'>('command');
  const texts = {
    command: () => asCommand(request) ?? '# The command line has no option for some of this; use Python or curl.',
    curl: () => asCurl(request, location.origin),
    json: () => JSON.stringify(request, null, 2),
    python: () => asPython(request, location.origin),
  };
  const text = texts[as]();
  return (
    <Card title="The same as a program">
      <SelectField label="As" value={as} onChange={setAs} options={[['command', 'Command line'], ['curl', 'curl'], ['python', 'Python'], ['json', 'JSON']]} />
      <pre className="code-block" tabIndex={0} aria-label="The request">{text}</pre>
      <Copyable text={text} shown="" label="the request" />
    </Card>
  );
}
