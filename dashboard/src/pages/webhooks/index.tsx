import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function WebhooksPage() {
  return (
    <Page title="Webhooks">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
