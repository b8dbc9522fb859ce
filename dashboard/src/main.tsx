import './design/base.css';
import './design/parts.css';
import './app/frame.css';

import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router';

import { queries } from './app/api';
import { Boundary } from './app/Boundary';
import { Frame } from './app/Frame';
import { apply } from './app/theme';

apply();
const root = document.getElementById('root');
if (root === null) throw new Error('index.html has #root');
createRoot(root).render(
  <StrictMode>
    <Boundary>
      <QueryClientProvider client={queries}>
        <BrowserRouter basename="/dashboard">
          <Frame />
        </BrowserRouter>
      </QueryClientProvider>
    </Boundary>
  </StrictMode>,
);
