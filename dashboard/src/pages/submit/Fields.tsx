import { AreaField, CheckField, SelectField, TextField } from '../../design/fields';
import { Card } from '../../design/Card';
import type { Form, Problems } from './form';

interface Props {
  form: Form;
  problems: Problems;
  onChange: (form: Form) => void;
}

/** The form's fields, without its buttons. */
export function Fields({ form, problems, onChange }: Props) {
  const put = (change: Partial<Form>): void => { onChange({ ...form, ...change }); };
  const text = (name: 'image' | 'command' | 'name' | 'price' | 'minutes' | 'cores' | 'memoryGb' | 'diskGb' | 'gpus' | 'gpuMemoryGb' | 'where', label: string, hint?: string) => (
    <TextField
      label={label}
      value={form[name]}
      onChange={(value) => { put({ [name]: value }); }}
      error={problems[name] ?? ''}
      {...(hint !== undefined && { hint })}
    />
  );
  return (
    <>
      <Card title="Job">
        <div className="form-grid">
          {text('image', 'Image', 'A container image, such as python:3.12-slim.')}
          {text('name', 'Name', 'For you alone.')}
        </div>
        {text('command', 'Command', 'Words, with quotes as in a shell; empty: what the image does by itself.')}
      </Card>
      <Card title="Machine and price">
        <div className="form-grid">
          {text('price', 'Highest price per hour, USDC')}
          {text('minutes', 'Time limit, minutes')}
          {text('cores', 'Processor cores')}
          {text('memoryGb', 'Memory, GB')}
          {text('diskGb', 'Disk, GB')}
          {text('gpus', 'GPUs')}
          {form.gpus !== '0' && text('gpuMemoryGb', 'Memory of each GPU, GB')}
        </div>
        {text('where', 'Where', 'A condition on nodes, such as region = eu-west. Empty: anywhere.')}
      </Card>
      <Card title="More">
        <div className="form-grid">
          <SelectField
            label="Priority"
            value={form.priority}
            onChange={(priority) => { put({ priority }); }}
            options={[['low', 'Low'], ['normal', 'Normal'], ['high', 'High']]}
            error={problems.priority ?? ''}
          />
          <SelectField
            label="Verification"
            value={form.verification}
            onChange={(verification) => { put({ verification }); }}
            options={[['none', 'None'], ['spot_check', 'Spot checks'], ['quorum', 'Several nodes compared']]}
            error={problems.verification ?? ''}
          />
        </div>
        <div className="form-grid">
          <AreaField label="Environment" hint="NAME=value, one a line." value={form.env} onChange={(env) => { put({ env }); }} error={problems.env ?? ''} />
          <AreaField
            label="Hosts it may reach"
            hint="One a line; empty: no network."
            value={form.hosts}
            onChange={(hosts) => { put({ hosts }); }}
            error={problems.hosts ?? ''}
          />
        </div>
        <CheckField label="May be stopped for others (preemptible)" checked={form.preemptible} onChange={(preemptible) => { put({ preemptible }); }} />
      </Card>
    </>
  );
}
