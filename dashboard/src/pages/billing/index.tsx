import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function BillingPage() {
  return (
    <Page title="Billing and usage">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
