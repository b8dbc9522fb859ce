import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function TasksPage() {
  return (
    <Page title="Tasks">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
