import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function ProviderPage() {
  return (
    <Page title="Provider">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
