import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function ModelsPage() {
  return (
    <Page title="Models">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
