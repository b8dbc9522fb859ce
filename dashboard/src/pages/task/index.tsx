import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function TaskPage() {
  return (
    <Page title="Task">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
