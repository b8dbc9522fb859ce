import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function BatchesPage() {
  return (
    <Page title="Batches">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
