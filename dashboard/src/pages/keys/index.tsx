import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function KeysPage() {
  return (
    <Page title="API keys">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
