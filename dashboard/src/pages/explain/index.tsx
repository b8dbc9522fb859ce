import { Page } from '../../design/Page';
import { Empty } from '../../design/states';

export default function ExplainPage() {
  return (
    <Page title="Explain">
      <Empty>This page is being built.</Empty>
    </Page>
  );
}
