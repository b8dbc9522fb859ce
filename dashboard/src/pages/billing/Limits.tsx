import type { schema } from '@neurogrid/sdk';
import { useState } from 'react';

import { client, useApi, useChange } from '../../app/api';
import { Button } from '../../design/Button';
import { Card, Facts } from '../../design/Card';
import { TextField } from '../../design/fields';
import { usdc } from '../../design/format';
import { Time } from '../../design/parts';
import { ErrorNote, Loaded, Note } from '../../design/states';
import { wrongAmount } from './days';

const PATH = '/api/v1/account/limits';

/** How much a month, and one task, may cost at most. */
export function Limits() {
  const limits = useApi<schema.AccountLimitsView>(PATH);
  return (
    <Card title="Spending limits">
      <Loaded query={limits}>{(of) => <Form of={of} />}</Loaded>
    </Card>
  );
}

function Form({ of }: { of: schema.AccountLimitsView }) {
  const [month, setMonth] = useState(of.monthly_budget ?? '');
  const [task, setTask] = useState(of.task_budget ?? '');
  const [tasks, setTasks] = useState(of.monthly_tasks === null ? '' : String(of.monthly_tasks));
  const save = useChange(
    () =>
      client.account.setLimits({
        monthly_budget: month.trim() || null,
        task_budget: task.trim() || null,
        monthly_tasks: tasks.trim() === '' ? null : Number(tasks),
      }),
    PATH,
    '/api/v1/analytics/usage',
  );
  const isCount = /^\d{0,9}$/.test(tasks.trim());
  const isReady = wrongAmount(month) === '' && wrongAmount(task) === '' && isCount && !save.isPending;
  return (
    <form onSubmit={(event) => { event.preventDefault(); if (isReady) save.mutate(); }}>
      <Facts
        of={[
          ['Used this month', `${usdc(of.used.budget)}, ${of.used.tasks} tasks`],
          ['Begins anew', <Time key="t" at={of.used.until} />],
          ['Requests a minute', of.requests_per_minute ?? 'no limit'],
        ]}
      />
      <TextField label="A month costs at most, USDC" inputMode="decimal" value={month} onChange={setMonth} error={wrongAmount(month)} hint="Empty: no limit." />
      <TextField label="A task costs at most, USDC" inputMode="decimal" value={task} onChange={setTask} error={wrongAmount(task)} hint="Empty: no limit." />
      <TextField label="Tasks a month at most" inputMode="numeric" value={tasks} onChange={setTasks} error={isCount ? '' : 'Give a whole number.'} hint="Empty: no limit." />
      <Button kind="main" type="submit" disabled={!isReady} busy={save.isPending}>
        Save the limits
      </Button>
      <ErrorNote error={save.error} />
      {save.isSuccess && <Note>The limits are saved, and count from the next task on.</Note>}
    </form>
  );
}
