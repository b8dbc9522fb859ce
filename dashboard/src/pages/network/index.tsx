import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function NetworkPage() {
  return (
    <Page title="Network">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
