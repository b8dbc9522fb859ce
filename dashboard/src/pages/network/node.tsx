import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function NodePage() {
  return (
    <Page title="Node">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
