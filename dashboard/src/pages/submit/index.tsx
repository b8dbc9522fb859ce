import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function SubmitPage() {
  return (
    <Page title="Submit a task">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
